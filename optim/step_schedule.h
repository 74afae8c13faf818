// step_schedule: step -> phase, a pure function, printable before step 0 (AB-training, Alg. 1):
//   warm-up [0, W), then cycles of [decompose] ab_steps [merge] rebound_steps until the last step.
// Three methods are three settings of one machine: ddp never leaves the warm-up; ab-nogroups has
// the spans of ab. The baselines have two spans: warm-up [0, W), then `compressed` (powersgd) or
// `local` (local-sgd) to the end.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ab {

enum class Method : uint8_t { kDdp, kAb, kAbNoGroups, kPowerSgd, kLocalSgd };
enum class StepPhase : uint8_t { kWarmup, kAb, kRebound, kCompressed, kLocal };

// The reference implementation's counting (compat.schedule), in completed updates t:
//   t = w            decompose: AB lasts to the next multiple of s, however near or far that is
//   t = c s > w      merge: rebound for d steps
//   t = c s + d > w  decompose: AB for s - d steps, up to the next multiple of s
// So the first AB phase has s - w % s steps instead of s - d; with w % s = d (ResNet-50 4k: 9300,
// 3000, 300) both countings are the same. Where w % s < d (ResNet-50 2k) the reference decomposes a
// second time at t = c s + d, inside the first AB phase and without a merge; here that phase stays
// whole. Share of steps at full rank: ResNet-50 4k 28.0 %, VGG16 34.5 %, ViT-B/16 4k 37.3 %.
struct CompatSchedule {
  int64_t w = 0, s = 0, d = 0;
};

struct StepScheduleSettings {
  Method method = Method::kDdp;
  int64_t total_steps = 0, warmup_steps = 0, ab_steps = 0, rebound_steps = 0;
  std::optional<CompatSchedule> compat;
};

// Steps [from, to) of one phase. cycle: 0, 1, ... from the first AB phase on; else -1.
struct PhaseSpan {
  StepPhase phase = StepPhase::kWarmup;
  int cycle = -1;
  int64_t from = 0, to = 0;
  bool operator==(const PhaseSpan&) const = default;
};

// All spans up to total_steps, in order, none empty; ddp is one warm-up span. Throws ConfigError.
// A border `decompose` lies before each AB span and `merge` after it; training that ends inside
// `ab` merges before the final evaluation. Without rebound steps AB spans touch: merge, then
// decompose.
std::vector<PhaseSpan> step_schedule(const StepScheduleSettings& settings);

// The span that update `step` (0-based: the number of completed updates) belongs to; throws
// std::out_of_range outside [0, total).
const PhaseSpan& span_of(const std::vector<PhaseSpan>& spans, int64_t step);

const char* name_of(StepPhase phase);
const char* name_of(Method method);

}  // namespace ab
