// cudnnBackendExecute: a finalized plan, the handle it was made with, and a pack that gives every
// tensor between program and graph its device memory, aligned as its descriptor says.
#include "tests/standin/dnn.h"
#include "tests/standin/memory.h"

namespace ab::standin {
namespace {

constexpr uintptr_t kWorkspaceAlignment = 256;

cudnnStatus_t bad(const std::string& what) {
  return dnn_fault(CUDNN_STATUS_BAD_PARAM, what);
}

bool aligned(const void* address, int64_t to) {
  return reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(to) == 0;
}

// What the pack says, checked against the graph.
cudnnStatus_t read_pack(const DnnBody& pack, const DnnGraph& graph,
                        std::map<int64_t, void*>& memory, std::vector<Access>& accesses) {
  const auto uids = pack.list<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.list<char*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  if (uids.size() != pointers.size()) return bad("a pack needs as many pointers as tensors");
  for (size_t i = 0; i < uids.size(); ++i) memory[uids[i]] = pointers[i];
  for (const auto& [uid, tensor] : graph.tensors) {
    if (tensor.is_virtual) continue;
    const std::string name = "tensor " + std::to_string(uid);
    const auto found = memory.find(uid);
    if (found == memory.end()) return bad(name + " has no pointer in the pack");
    if (!in_device_range(found->second)) return bad(name + " is at a host pointer");
    if (!aligned(found->second, tensor.alignment))
      return bad(name + " is not aligned to its " + std::to_string(tensor.alignment) + " bytes");
    accesses.push_back({found->second, tensor.bytes(), uid == graph.result()});
  }
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace
}  // namespace ab::standin

using namespace ab::standin;

extern "C" cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle,
                                             cudnnBackendDescriptor_t plan_descriptor,
                                             cudnnBackendDescriptor_t pack_descriptor) {
  if (const int code = injected(__func__)) return static_cast<cudnnStatus_t>(code);
  const DnnHandle* const library = dnn_handles().find(handle, __func__);
  const DnnDescriptor* const plan = dnn_descriptors().find(plan_descriptor, __func__);
  const DnnDescriptor* const pack = dnn_descriptors().find(pack_descriptor, __func__);
  if (!library || !plan || !pack) return CUDNN_STATUS_BAD_PARAM;
  if (!plan->body->finalized || !pack->body->finalized)
    return bad("execution of a plan or a pack that is not finalized");
  if (plan->body->one<cudnnHandle_t>(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle) != handle)
    return bad("the plan was made with another handle");
  const auto engine =
      plan->body->body(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->body(CUDNN_ATTR_ENGINECFG_ENGINE);
  DnnGraph graph;
  make_graph(*engine->body(CUDNN_ATTR_ENGINE_OPERATION_GRAPH), graph);
  std::map<int64_t, void*> memory;
  std::vector<Access> accesses;
  if (const cudnnStatus_t status = read_pack(*pack->body, graph, memory, accesses);
      status != CUDNN_STATUS_SUCCESS)
    return status;
  const int64_t index = engine->one<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  const size_t bytes = dnn_workspace(graph, index);
  void* const workspace = pack->body->one<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  if (bytes > 0 && !(in_device_range(workspace) && aligned(workspace, kWorkspaceAlignment)))
    return bad("the workspace is no device memory aligned to 256 bytes");
  accesses.push_back({workspace, bytes, true});
  if (device_of(library->stream) != library->device)
    return bad("handle and stream belong to different devices");
  const Operation run = [=, name = __func__](cudaStream_t on) {
    if (const cudaError_t error = enqueue(on, name, accesses); error != cudaSuccess) return error;
    std::map<int64_t, void*> real;
    for (const auto& [uid, address] : memory) real[uid] = real_address(address);
    dnn_compute(graph, index, real);
    return cudaSuccess;
  };
  return submit(library->stream, __func__, run) == cudaSuccess ? CUDNN_STATUS_SUCCESS
                                                               : CUDNN_STATUS_EXECUTION_FAILED;
}
