#include "layers/attention.h"

namespace ab {

Attention::Attention(Network& network, const std::string& name, int64_t dim, int heads)
    : heads_(heads),
      qkv_(network, name + ".qkv", dim, 3 * dim, false),
      projection_(network, name + ".proj", dim, dim, true) {}

Tensor Attention::forward(Context& context, const Tensor& x, Queries queries) {
  return projection_.forward(context,
                             attention(context, qkv_.forward(context, x), heads_, queries));
}

}  // namespace ab
