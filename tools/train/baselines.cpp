#include "tools/train/baselines.h"

namespace ab {

std::vector<CompressedMatrix> compressed_matrices(const Config& config, const Replica& replica) {
  std::vector<CompressedMatrix> matrices;
  for (const FactoredWeight* weight : replica.factorable) {
    const int64_t rank = compressed_rank(weight->m(), weight->n(), config.powersgd.rank,
                                         config.powersgd.min_compression);
    if (rank > 0) matrices.push_back({&weight->dense(), weight->out(), weight->in(), rank});
  }
  return matrices;
}

size_t baseline_bytes(const Config& config, const Replica& replica) {
  const Method method = method_of(config);
  const Tensor statistics = replica.store.buffer_values();
  if (method == Method::kLocalSgd)
    return replica.store.values().bytes() + (statistics ? statistics.bytes() : 0);
  if (method != Method::kPowerSgd) return 0;
  int64_t whole = replica.full_elements, compressed = 0, factors = 0;
  for (const CompressedMatrix& matrix : compressed_matrices(config, replica)) {
    compressed += matrix.m() * matrix.n();
    factors += matrix.rank * (matrix.m() + matrix.n());
  }
  whole -= compressed;
  if (!config.powersgd.error_feedback) compressed = 0;
  const size_t narrow =
      reduce_dtype_of(config) == DType::kFloat32 ? 0 : size_of(reduce_dtype_of(config));
  return static_cast<size_t>(compressed + factors + whole) * sizeof(float) +
         static_cast<size_t>(whole) * narrow;
}

std::unique_ptr<PowerSgd> make_powersgd(const Config& config, Replica& replica,
                                        Communicator& world) {
  if (method_of(config) != Method::kPowerSgd) return nullptr;
  return std::make_unique<PowerSgd>(
      replica.store, world, compressed_matrices(config, replica),
      PowerSgdSettings{config.powersgd.error_feedback, reduce_dtype_of(config), config.train.seed});
}

}  // namespace ab
