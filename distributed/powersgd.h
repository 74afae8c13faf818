// PowerSGD: gradients averaged as rank-r matrices (T. Vogels, S. P. Karimireddy and M. Jaggi,
// "PowerSGD: Practical Low-Rank Gradient Compression for Distributed Optimization", NeurIPS 2019,
// Algorithms 1 and 2). Per matrix and rank w, G_w the gradient, E_w the error so far:
//   M_w = G_w + E_w                      (without error feedback: G_w)
//   P   = sum over ranks of M_w^T Q      (n, r), all-reduced, then its columns orthonormalised
//   Q_w = M_w P,   E_w <- M_w - Q_w P^T  (m, r)
//   Q   = mean over ranks of Q_w         all-reduced; starts the next step (warm start)
//   G   <- Q P^T
// m >= n as in AB-training. The paper orthonormalises on the side it calls rows; here it is the
// shorter one: that is cheaper, and at r = n nothing is lost, whatever Q was. Q starts as standard
// normal numbers from a seed that all ranks share. P is a frame also where the gradient's rank is
// below r (kernels/orthonormal.h).
// All P travel in one all-reduce and all Q in another, both fp32 (they are small); every other
// parameter whole, in a third, in reduce_dtype. Products P are taken as gradients become ready,
// while the backward pass goes on.
#pragma once
#include <vector>

#include "distributed/communicator.h"
#include "distributed/gradient_exchange.h"
#include "engine/arena.h"

namespace ab {

// A compressed parameter: its gradient as a (rows, cols) matrix in the order stored.
struct CompressedMatrix {
  const Parameter* parameter = nullptr;
  int64_t rows = 0, cols = 0, rank = 0;
  bool wide() const { return rows < cols; }
  int64_t m() const { return wide() ? cols : rows; }
  int64_t n() const { return wide() ? rows : cols; }
};

// Rank of a compressed (m, n) gradient: `rank`, at most n; 0 (sent whole) unless m n >
// min_compression * rank (m + n).
int64_t compressed_rank(int64_t m, int64_t n, int64_t rank, double min_compression);

struct PowerSgdSettings {
  bool error_feedback = true;
  DType reduce_dtype = DType::kFloat32;
  uint64_t seed = 0;
};

class PowerSgd : public GradientExchange {
 public:
  // The store's layout must stay as it is. Allocates its state at once.
  PowerSgd(ParameterStore& store, Communicator& communicator,
           std::vector<CompressedMatrix> matrices, const PowerSgdSettings& settings);

  void begin_step() override;
  void ready(const Parameter& parameter) override;
  void finish_step() override;
  double waited_s() const override { return wait_->seconds(); }

  // The state that outlives a step, for checkpoints. errors: this rank's own, empty without error
  // feedback; starts (the Q): the same on every rank.
  Tensor errors() const { return errors_; }
  Tensor starts() const { return q_; }

 private:
  struct Place {
    CompressedMatrix matrix;
    int64_t error_at = 0, p_at = 0, q_at = 0;  // in elements
    bool ready = false;
  };
  struct Whole {
    const Parameter* parameter;
    bool ready = false;
  };

  void draw_starts(uint64_t seed);
  void project(Place& place);
  void find_remainder(const Place& place);
  void wait(Pending& pending);
  std::unique_ptr<Pending> send_whole();
  void receive_whole();
  Tensor matrix_of(const Place& place) const;
  Tensor p_of(const Place& place) const;
  Tensor q_of(const Place& place) const;
  Stream stream() const { return store_.device().stream(); }

  ParameterStore& store_;
  Communicator& communicator_;
  DType reduce_dtype_;
  std::vector<Place> places_;
  std::vector<Whole> whole_;
  std::unique_ptr<Stopwatch> wait_;
  Arena arena_;  // of the products
  Buffer memory_;
  Tensor errors_, p_, q_, packed_, narrow_;
};

}  // namespace ab
