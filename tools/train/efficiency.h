// The figures by which AB-training is judged (method.md section 11).
#pragma once
#include <cstdint>
#include <vector>

#include "optim/step_schedule.h"

namespace ab {

// parameters of the full-rank model / parameters of the factored form; biases and embeddings on
// both sides.
double compression_of(int64_t params_full, int64_t params_factored);

// 1 - bytes(method) / bytes(ddp); 0 where ddp sends nothing (one rank).
double traffic_reduction_of(int64_t sent, int64_t ddp_sent);

// ECR = 100 - F - L c (Eq. 4), c = 1 / compression; of the AB methods, 0 for the others.
//   as executed: F = share of steps at full rank, L = share of steps in which the world exchanges
//                factored gradients (ab-nogroups: the AB phases; ab: none, the groups are silent)
//   literal:     F = 25, L = 75 - share of the group phases, as the paper's text assumes
double ecr_executed(Method method, const std::vector<PhaseSpan>& spans, double compression);
double ecr_literal(Method method, const std::vector<PhaseSpan>& spans, double compression);

}  // namespace ab
