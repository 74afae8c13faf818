// Life and attributes of cuDNN's backend descriptors (dnn.h). One table says which attribute
// belongs to which descriptor, of which type, how many elements, and whether it must be there.
#include <algorithm>
#include <cstring>

#include "tests/standin/dnn.h"
#include "tests/standin/dnn_rules.h"

namespace ab::standin {
namespace {

size_t size_of_type(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_BOOLEAN:
      return 1;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;
  }
}

std::string text_of(cudnnBackendAttributeName_t name, const DnnBody& body) {
  return "attribute " + std::to_string(name) + " of a descriptor of type " +
         std::to_string(body.type);
}

// Heuristics' answer: an engine configuration per engine, already finalized.
std::vector<std::shared_ptr<DnnBody>> configurations(const DnnBody& heuristics) {
  const auto graph_body = heuristics.body(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  DnnGraph graph;
  if (make_graph(*graph_body, graph) != CUDNN_STATUS_SUCCESS) return {};
  const bool fallback = heuristics.one<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE) ==
                        CUDNN_HEUR_MODE_FALLBACK;
  std::vector<std::shared_ptr<DnnBody>> result;
  for (const int64_t index : dnn_engines(graph, fallback)) {
    auto engine = std::make_shared<DnnBody>();
    engine->type = CUDNN_BACKEND_ENGINE_DESCRIPTOR;
    engine->put<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, {index});
    engine->put(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                dnn_notes(graph, index));
    engine->put<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                            CUDNN_TYPE_BEHAVIOR_NOTE, {});
    engine->values[CUDNN_ATTR_ENGINE_KNOB_INFO] = {CUDNN_TYPE_BACKEND_DESCRIPTOR, {}, {}};
    engine->values[CUDNN_ATTR_ENGINE_OPERATION_GRAPH] = {
        CUDNN_TYPE_BACKEND_DESCRIPTOR, {}, {graph_body}};
    auto configuration = std::make_shared<DnnBody>();
    configuration->type = CUDNN_BACKEND_ENGINECFG_DESCRIPTOR;
    configuration->values[CUDNN_ATTR_ENGINECFG_ENGINE] = {
        CUDNN_TYPE_BACKEND_DESCRIPTOR, {}, {engine}};
    configuration->values[CUDNN_ATTR_ENGINECFG_KNOB_CHOICES] = {
        CUDNN_TYPE_BACKEND_DESCRIPTOR, {}, {}};
    const int64_t workspace = static_cast<int64_t>(dnn_workspace(graph, index));
    configuration->put<int64_t>(CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE, CUDNN_TYPE_INT64, {workspace});
    configuration->put<int64_t>(CUDNN_ATTR_ENGINECFG_SHARED_MEMORY_USED, CUDNN_TYPE_INT64, {0});
    engine->finalized = configuration->finalized = true;
    result.push_back(configuration);
  }
  return result;
}

cudnnStatus_t finalize_plan(DnnBody& plan) {
  const auto engine =
      plan.body(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->body(CUDNN_ATTR_ENGINECFG_ENGINE);
  DnnGraph graph;
  const cudnnStatus_t status = make_graph(*engine->body(CUDNN_ATTR_ENGINE_OPERATION_GRAPH), graph);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  const int64_t index = engine->one<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  if (!dnn_supports(graph, index)) return CUDNN_STATUS_NOT_SUPPORTED_SHAPE;
  plan.put<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                    {static_cast<int64_t>(dnn_workspace(graph, index))});
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set(DnnBody& body, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                  int64_t count, const void* elements) {
  if (body.finalized)
    return dnn_fault(CUDNN_STATUS_NOT_INITIALIZED,
                     text_of(name, body) + " is set after the descriptor was finalized");
  const auto rule = std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& r) {
    return r.descriptor == body.type && r.name == name;
  });
  if (rule == std::end(kRules))
    return dnn_fault(CUDNN_STATUS_NOT_SUPPORTED, text_of(name, body) + " has no stand-in");
  const bool scale =
      rule->type == CUDNN_TYPE_FLOAT && (type == CUDNN_TYPE_FLOAT || type == CUDNN_TYPE_DOUBLE);
  if (type != rule->type && !scale && rule->type != CUDNN_TYPE_DOUBLE)
    return dnn_fault(CUDNN_STATUS_BAD_PARAM, text_of(name, body) + " is given a wrong type");
  if (count < 1 || count > rule->most || !elements)
    return dnn_fault(CUDNN_STATUS_BAD_PARAM, text_of(name, body) + " is given " +
                                                 std::to_string(count) + " elements, at most " +
                                                 std::to_string(rule->most) + " belong there");
  DnnValue value{type, {}, {}};
  const char* const first = static_cast<const char*>(elements);
  if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    value.bytes.assign(first, first + static_cast<size_t>(count) * size_of_type(type));
  } else {
    for (int64_t i = 0; i < count; ++i) {
      const DnnDescriptor* const other = dnn_descriptors().find(
          static_cast<const cudnnBackendDescriptor_t*>(elements)[i], "cudnnBackendSetAttribute");
      if (!other) return CUDNN_STATUS_BAD_PARAM;
      if (!other->body->finalized)
        return dnn_fault(CUDNN_STATUS_BAD_PARAM,
                         text_of(name, body) + " is given a descriptor that is not finalized");
      value.bodies.push_back(other->body);
    }
  }
  body.values[name] = std::move(value);
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

Handles<DnnDescriptor>& dnn_descriptors() {
  static auto* const all = new Handles<DnnDescriptor>("a backend descriptor");
  return *all;
}

cudnnStatus_t dnn_fault(cudnnStatus_t status, const std::string& what) {
  report("cudnn: " + what);
  return status;
}

}  // namespace ab::standin

using namespace ab::standin;

extern "C" {

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
  if (const int code = injected(__func__)) return static_cast<cudnnStatus_t>(code);
  DnnDescriptor* const made = dnn_descriptors().create();
  made->body->type = type;
  *descriptor = made;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  DnnDescriptor* const found = dnn_descriptors().find(descriptor, __func__);
  if (!found) return CUDNN_STATUS_BAD_PARAM;
  found->body.reset();
  dnn_descriptors().destroy(descriptor, __func__);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void* elements) {
  const DnnDescriptor* const found = dnn_descriptors().find(descriptor, __func__);
  return found ? set(*found->body, name, type, count, elements) : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  const DnnDescriptor* const found = dnn_descriptors().find(descriptor, __func__);
  if (!found) return CUDNN_STATUS_BAD_PARAM;
  DnnBody& body = *found->body;
  if (body.finalized)
    return dnn_fault(CUDNN_STATUS_BAD_PARAM, "a descriptor is finalized a second time");
  for (const Rule& rule : kRules)
    if (rule.descriptor == body.type && rule.required && !body.has(rule.name))
      return dnn_fault(CUDNN_STATUS_BAD_PARAM, text_of(rule.name, body) + " is missing");
  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
  if (body.type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    DnnGraph graph;
    status = make_graph(body, graph);
  } else if (body.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
    body.values[CUDNN_ATTR_ENGINEHEUR_RESULTS] = {
        CUDNN_TYPE_BACKEND_DESCRIPTOR, {}, configurations(body)};
  } else if (body.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    status = finalize_plan(body);
  }
  body.finalized = status == CUDNN_STATUS_SUCCESS;
  return status;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room,
                                       int64_t* count, void* elements) {
  const DnnDescriptor* const found = dnn_descriptors().find(descriptor, __func__);
  if (!found) return CUDNN_STATUS_BAD_PARAM;
  const DnnBody& body = *found->body;
  if (!body.finalized)
    return dnn_fault(CUDNN_STATUS_NOT_INITIALIZED,
                     text_of(name, body) + " is read before the descriptor is finalized");
  const auto value = body.values.find(name);
  if (value == body.values.end() || value->second.type != type) return CUDNN_STATUS_NOT_SUPPORTED;
  const DnnValue& v = value->second;
  const bool nested = type == CUDNN_TYPE_BACKEND_DESCRIPTOR;
  const auto there =
      static_cast<int64_t>(nested ? v.bodies.size() : v.bytes.size() / size_of_type(type));
  if (count) *count = there;
  const int64_t given = std::min(room, there);
  if (!elements || given < 1) return CUDNN_STATUS_SUCCESS;
  if (!nested) {
    std::memcpy(elements, v.bytes.data(), static_cast<size_t>(given) * size_of_type(type));
    return CUDNN_STATUS_SUCCESS;
  }
  for (int64_t i = 0; i < given; ++i) {  // the caller's own descriptors are filled in
    DnnDescriptor* const to =
        dnn_descriptors().find(static_cast<cudnnBackendDescriptor_t*>(elements)[i], __func__);
    if (!to || to->body->type != v.bodies[i]->type)
      return dnn_fault(CUDNN_STATUS_BAD_PARAM,
                       text_of(name, body) + " needs descriptors of its type");
    to->body = v.bodies[i];
  }
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
