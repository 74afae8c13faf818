#include "tools/train/traffic_plan.h"

#include <algorithm>

#include "distributed/ledger_gather.h"
#include "distributed/reducer.h"
#include "tools/train/baselines.h"
#include "tools/train/phase_border.h"
#include "tools/train/traffic_sum.h"

namespace ab {
namespace {

constexpr int64_t kEvaluationFields = 6;  // loss, top-1, top-5, images, two counts of skipped ones

struct Planner {
  const Config& config;
  const Resolved& resolved;
  Replica& replica;
  Method method;
  TrafficSum traffic;

  std::vector<BucketRange> buckets() const {
    std::vector<int64_t> sizes;
    for (const Parameter& p : replica.store.parameters())
      if (p.present && p.trainable) sizes.push_back(p.shape.elements());
    const auto bytes = static_cast<int64_t>(config.comm.bucket_mb * (1 << 20));
    return cut_buckets(sizes, bytes / static_cast<int64_t>(size_of(reduce_dtype_of(config))));
  }
  int64_t buffer_elements() const {
    const Tensor values = replica.store.buffer_values();
    return values ? values.elements() : 0;
  }

  void world(Purpose purpose, DType dtype, int64_t elements) {
    if (elements > 0) traffic.add(Collective::kAllReduce, purpose, dtype, elements, 1);
  }
  void hash(int64_t calls = 1) {
    traffic.add(Collective::kAllGather, Purpose::kHash, DType::kInt64, 1, calls);
  }
  void unsynchronised_statistics() {
    if (config.train.sync_bn == "off" && traffic.nodes().size() > 1)
      world(Purpose::kMergeStatistics, DType::kFloat32, buffer_elements());
  }

  void steps(const PhaseSpan& span, const std::vector<int64_t>* ranks);
  void gradients(bool a, int64_t count);
  void statistics(const PhaseSpan& span);
  void decompose(const std::vector<int64_t>& ranks);
  void merge(const std::vector<int64_t>& ranks);
  void compressed_gradients(int64_t count);
  void average_weights();
  void averages(const PhaseSpan& span);
  void evaluations(const RunPlan& plan);
  void checkpoints();
};

// powersgd: everything else whole in one all-reduce, all P in one, all Q in one.
void Planner::compressed_gradients(int64_t count) {
  int64_t whole = replica.full_elements, p = 0, q = 0;
  for (const CompressedMatrix& matrix : compressed_matrices(config, replica)) {
    whole -= matrix.m() * matrix.n();
    p += matrix.rank * matrix.n();
    q += matrix.rank * matrix.m();
  }
  const auto add = [&](Purpose purpose, DType dtype, int64_t elements) {
    if (elements > 0) traffic.add(Collective::kAllReduce, purpose, dtype, elements, count);
  };
  add(Purpose::kGradients, reduce_dtype_of(config), whole);
  add(Purpose::kLowRankP, DType::kFloat32, p);
  add(Purpose::kLowRankQ, DType::kFloat32, q);
}

// local-sgd: of all groups, with their batch statistics.
void Planner::average_weights() {
  world(Purpose::kAverageWeights, DType::kFloat32, replica.full_elements);
  world(Purpose::kMergeStatistics, DType::kFloat32, buffer_elements());
}

void Planner::averages(const PhaseSpan& span) {
  traffic.phase = Phase::kMerge;
  for (int64_t completed = span.from + 1; completed <= span.to; ++completed) {
    if (!averages_after(config, span, completed)) continue;
    average_weights();
    for (int moment = 0; moment < 2 && config.local_sgd.moments == "average"; ++moment)
      world(Purpose::kAverageMoments, DType::kFloat32, replica.full_elements);
    hash();
  }
}

void Planner::gradients(bool a, int64_t count) {
  for (const BucketRange& bucket : buckets())
    traffic.add_half(a, Purpose::kGradients, reduce_dtype_of(config), bucket.elements, count);
}

void Planner::steps(const PhaseSpan& span, const std::vector<int64_t>* ranks) {
  const int64_t count = span.to - span.from, every = config.train.log_every;
  traffic.phase = ledger_phase(span.phase);
  traffic.in_groups = trains_in_groups(method, span.phase);
  if (span.phase == StepPhase::kCompressed) {
    compressed_gradients(count);
  } else if (!ranks) {
    for (const BucketRange& bucket : buckets())
      traffic.add(Collective::kAllReduce, Purpose::kGradients, reduce_dtype_of(config),
                  bucket.elements, count);
  } else {
    if (traffic.in_groups) {
      shape_as_factored(replica, *ranks, true);
      gradients(true, count);
    }
    shape_as_factored(replica, *ranks, false);
    gradients(false, count);
    shape_as_dense(replica);
  }
  int64_t logged = span.to / every - span.from / every;
  if (span.to == resolved.total_steps && span.to % every != 0) ++logged;
  traffic.add(Collective::kAllReduce, Purpose::kMetrics, DType::kFloat64, 1, logged);
  if (const int64_t check = config.train.check_every) hash(span.to / check - span.from / check);
  if (config.train.sync_bn == "world") traffic.in_groups = false;
  statistics(span);
  traffic.in_groups = false;
  // Not after the last step, which ends the run anyway.
  const int64_t ask = config.checkpoint.ask_every;
  const int64_t last = std::min(span.to, resolved.total_steps - 1);
  traffic.add(Collective::kAllReduce, Purpose::kStop, DType::kInt64, 1,
              last / ask - span.from / ask);
}

// Per batch norm and step: two sums of C floats forward, one of 2C backward.
void Planner::statistics(const PhaseSpan& span) {
  if (config.train.sync_bn == "off" || traffic.ranks() == 1) return;
  const int64_t count = span.to - span.from;
  for (const Parameter& buffer : replica.store.buffers()) {
    if (!buffer.name.ends_with(".running_mean")) continue;
    const int64_t channels = buffer.shape.elements();
    traffic.add(Collective::kAllReduce, Purpose::kBatchNorm, DType::kFloat32, channels, 2 * count);
    traffic.add(Collective::kAllReduce, Purpose::kBatchNorm, DType::kFloat32, 2 * channels, count);
  }
}

void Planner::decompose(const std::vector<int64_t>& ranks) {
  traffic.phase = Phase::kDecompose;
  unsynchronised_statistics();
  traffic.in_groups = method == Method::kAb;
  const std::vector<int> owners = deal_out_layers(replica.factorable, traffic.ranks());
  traffic.add(Collective::kAllReduce, Purpose::kRanks, DType::kFloat64,
              kReportFields * static_cast<int64_t>(ranks.size()), 1);
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] == 0) continue;
    const FactoredWeight& weight = *replica.factorable[i];
    for (const int64_t side : {weight.m(), weight.n()})
      traffic.add(Collective::kBroadcast, Purpose::kFactors, DType::kFloat32, ranks[i] * side, 1,
                  owners[i]);
  }
  traffic.in_groups = false;
  hash();
}

void Planner::merge(const std::vector<int64_t>& ranks) {
  traffic.phase = Phase::kMerge;
  if (method == Method::kAb) {
    traffic.in_groups = true;  // each group on its own, then what was frozen
    hash();
    traffic.in_groups = false;
    hash();
    int64_t factors = 0, rest = replica.full_elements;
    for (size_t i = 0; i < ranks.size(); ++i) {
      const FactoredWeight& weight = *replica.factorable[i];
      if (ranks[i] == 0) continue;
      factors += ranks[i] * (weight.m() + weight.n());
      rest -= weight.m() * weight.n();
    }
    world(Purpose::kMergeFactors, DType::kFloat32, factors);
    world(Purpose::kMergeUnfactored, DType::kFloat32, rest);
    if (!config.ab.compat.moments) world(Purpose::kMergeMoments, DType::kFloat32, 2 * rest);
    world(Purpose::kMergeStatistics, DType::kFloat32, buffer_elements());
  } else {
    unsynchronised_statistics();
  }
  hash();
}

void Planner::evaluations(const RunPlan& plan) {
  traffic.phase = Phase::kEvaluate;
  for (const int64_t at : plan.evaluations) {
    const PhaseSpan& span = span_of(plan.spans, at - 1);
    if (span.phase != StepPhase::kLocal)
      unsynchronised_statistics();
    else if (!averages_after(config, span, at))
      average_weights();
    world(Purpose::kEvaluation, DType::kFloat64, kEvaluationFields);
  }
}

// The last step has none: the run is over.
void Planner::checkpoints() {
  const auto every = config.checkpoint.every_steps;
  if (!every) return;
  traffic.phase = Phase::kCheckpoint;
  traffic.add(Collective::kAllGather, Purpose::kCheckpoint, DType::kInt64, 1,
              (resolved.total_steps - 1) / *every);
}

}  // namespace

std::map<LedgerKey, LedgerEntry> plan_traffic(const Config& config, const Resolved& resolved,
                                              const WorldLayout& layout, Replica& replica,
                                              const LayerRanks& ranks,
                                              std::map<LedgerKey, LedgerEntry>* first_rank) {
  const RunPlan plan = make_run_plan(config, resolved);
  Planner planner{config, resolved, replica, method_of(config),
                  TrafficSum(layout, resolved.group_size)};
  planner.hash(2);  // the configuration, then the weights
  for (const PhaseSpan& span : plan.spans) {
    const bool factored = span.phase == StepPhase::kAb;
    const std::vector<int64_t>* row = factored ? &ranks.at(span.cycle) : nullptr;
    if (factored) planner.decompose(*row);
    planner.steps(span, row);
    if (factored) planner.merge(*row);
    if (span.phase == StepPhase::kCompressed) {
      planner.unsynchronised_statistics();
      planner.hash();
    }
    if (span.phase == StepPhase::kLocal) planner.averages(span);
  }
  planner.evaluations(plan);
  planner.checkpoints();
  if (first_rank) *first_rank = planner.traffic.first_rank;
  book_gather(planner.traffic.entries, planner.traffic.nodes());
  return planner.traffic.entries;
}

int64_t sent_bytes(const std::map<LedgerKey, LedgerEntry>& entries) {
  int64_t total = 0;
  for (const auto& [key, entry] : entries) total += entry.sent_bytes;
  return total;
}

int64_t inter_node_bytes(const std::map<LedgerKey, LedgerEntry>& entries) {
  int64_t total = 0;
  for (const auto& [key, entry] : entries) total += entry.inter_node_bytes;
  return total;
}

}  // namespace ab
