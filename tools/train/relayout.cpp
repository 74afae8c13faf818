#include "tools/train/relayout.h"

#include <algorithm>

#include "engine/error.h"
#include "tools/train/resolve.h"
#include "tools/train/run_plan.h"

namespace ab {
namespace {

std::string counted(int64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string text_of(const RunLayout& layout) {
  std::string text = counted(layout.world, "rank");
  if (layout.group_size < layout.world)
    text += " in groups of " + std::to_string(layout.group_size);
  return text;
}

// In steps of this phase ranks hold something that others do not.
bool divides_ranks(Method method, StepPhase phase) {
  return trains_in_groups(method, phase) || phase == StepPhase::kCompressed;
}

[[noreturn]] void refuse(const std::string& checkpoint, const RunState& state, const RunLayout& now,
                         const std::string& why) {
  throw ConfigError("--resume: " + checkpoint + " is of step " + std::to_string(state.step) +
                    " of a run on " + text_of(state.layout) + ", and cannot go on with " +
                    text_of(now) + ": " + why);
}

}  // namespace

void keep_global_batch(Config& config, const RunState& state, const std::string& checkpoint,
                       int world) {
  const int64_t batch = state.layout.global_batch;
  if (config.data.global_batch && *config.data.global_batch != batch)
    throw ConfigError("data.global_batch: found " + std::to_string(*config.data.global_batch) +
                      ", but " + checkpoint + " goes on with the " + std::to_string(batch) +
                      " samples a step that it was made with; leave the key out");
  if (batch % world != 0) {
    int64_t fewer = std::min<int64_t>(world, batch), more = world;
    while (batch % fewer != 0) --fewer;
    while (more < batch && batch % more != 0) ++more;
    throw ConfigError("--resume: the " + std::to_string(batch) + " samples a step of " +
                      checkpoint + " do not deal out evenly to " + counted(world, "rank") +
                      "; start " + std::to_string(fewer) +
                      (more <= batch ? " or " + std::to_string(more) : ""));
  }
  config.data.global_batch = batch;
}

bool is_relayout(const Config& config, const std::vector<PhaseSpan>& spans, const RunState& state,
                 const RunLayout& now, const std::string& checkpoint, bool own_statistics) {
  if (state.layout == now) return false;
  if (state.layout.global_batch != now.global_batch)
    refuse(checkpoint, state, now,
           "a step has " + std::to_string(now.global_batch) + " samples instead of " +
               std::to_string(state.layout.global_batch) + "; set data.global_batch to that");
  if (own_statistics)
    refuse(
        checkpoint, state, now,
        "with train.sync_bn=off each rank keeps batch statistics of its own; start as many ranks");
  if (config.ab.compat.moments && !state.layer_ranks.empty())
    refuse(checkpoint, state, now,
           "with ab.compat.moments each group keeps moments of its own from the first ab phase on; "
           "start as many ranks in groups of that size");
  const PhaseSpan& span = span_of(spans, state.step - 1);
  if (!divides_ranks(method_of(config), span.phase) || state.step == span.to) return true;
  refuse(checkpoint, state, now,
         std::string("inside the phase ") + name_of(span.phase) + ", steps " +
             std::to_string(span.from + 1) + " to " + std::to_string(span.to) +
             ", ranks hold weights or errors of their own. The nearest borders are after step " +
             std::to_string(span.from) + " and after step " + std::to_string(span.to) + "; start " +
             text_of(state.layout) + ", or let them come to a checkpoint outside");
}

}  // namespace ab
