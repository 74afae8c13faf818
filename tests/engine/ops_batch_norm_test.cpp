// Batch norm on the tape, against loops in double: one rank, two replicas that share statistics,
// and inference. Limits: 8 roundings per term, growing as a random walk, relative to the largest
// value.
#include <algorithm>
#include <barrier>
#include <cmath>
#include <thread>

#include "engine/ops/batch_norm.h"
#include "tests/catch.h"
#include "tests/device_under_test.h"

using namespace ab;

namespace {

using Floats = std::vector<float>;
constexpr DType kFloat = DType::kFloat32;
constexpr int64_t kRows = 150, kChannels = 5;
constexpr float kEpsilon = 1e-2f;

// Any fixed numbers without a pattern that cancels: multiples of 1/64 in [-2, 2] around `center`.
float value(int64_t i, int64_t stream, float center = 0.0f) {
  const uint32_t mixed = static_cast<uint32_t>(i * 2654435761u + stream * 40503u) * 2246822519u;
  return center + static_cast<float>(static_cast<int>((mixed >> 16) % 257) - 128) / 64.0f;
}

Floats values(int64_t n, int64_t stream, float center = 0.0f) {
  Floats v(n);
  for (int64_t i = 0; i < n; ++i) v[i] = value(i, stream, center);
  return v;
}

void check_close(const Floats& got, const std::vector<double>& wanted, int64_t terms) {
  REQUIRE(got.size() == wanted.size());
  double largest = 0.0;
  for (const double w : wanted) largest = std::max(largest, std::fabs(w));
  const double limit = largest * 8.0 * 0x1p-24 * (1.0 + std::sqrt(static_cast<double>(terms)));
  double worst = 0.0;
  for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::fabs(got[i] - wanted[i]));
  CHECK(worst <= limit);
}

// Sums over threads in the order of their ranks.
class ThreadSum : public ReplicaSum {
 public:
  struct Meeting {
    explicit Meeting(int count) : barrier(count), vectors(count) {}
    std::barrier<> barrier;
    std::vector<Floats> vectors;
  };
  ThreadSum(Meeting& meeting, int rank, Device& device)
      : meeting_(meeting), rank_(rank), device_(device) {}
  int replicas() const override { return static_cast<int>(meeting_.vectors.size()); }
  void sum(Stream stream, DevicePtr values, int64_t count) override {
    const size_t bytes = count * sizeof(float);
    Floats& mine = meeting_.vectors[rank_];
    mine.resize(count);
    device_.runtime().copy_to_host(stream, mine.data(), values, bytes);
    meeting_.barrier.arrive_and_wait();
    Floats total(count, 0.0f);
    for (const Floats& vector : meeting_.vectors)
      for (int64_t i = 0; i < count; ++i) total[i] += vector[i];
    meeting_.barrier.arrive_and_wait();
    device_.runtime().copy_to_device(stream, values, total.data(), bytes);
    ++calls;
    elements += count;
  }
  int64_t calls = 0, elements = 0;

 private:
  Meeting& meeting_;
  int rank_;
  Device& device_;
};
struct Result {
  Floats y, dx, dresidual, dgamma, dbeta, running_mean, running_var;
};
struct Setting {
  bool relu = true, residual = false, training = true;
};
class Rank {
 public:
  Rank() : device_(Device::create(test_device())), arena_(*device_), store_(*device_, kFloat) {
    for (const char* name : {"gamma", "beta"}) store_.add(name, {kChannels}, Role::kNorm);
    for (const char* name : {"mean", "var"}) store_.add_buffer(name, {kChannels});
    store_.layout();
    put(store_.find("gamma")->value, values(kChannels, 1, 1.5f));
    put(store_.find("beta")->value, values(kChannels, 2));
    put(store_.find("mean")->value, Floats(kChannels, 3.0f));
    put(store_.find("var")->value, Floats(kChannels, 4.0f));
  }

  Result run(const Floats& x_values, const Floats& other, const Floats& dy_values,
             const Setting& setting, ReplicaSum* statistics) {
    Result result;
    Context context(*device_, arena_);
    context.tape = &tape_;
    context.training = setting.training;
    context.statistics = statistics;
    Tensor x = tensor(context, x_values), residual = tensor(context, other);
    tape_.track(x);
    tape_.track(residual);
    tape_.record([&, slot = x.slot, other_slot = residual.slot] {
      result.dx = get(tape_.take_gradient(slot));
      result.dresidual = get(tape_.take_gradient(other_slot));
    });
    const BatchNormParameters parameters{*store_.find("gamma"),
                                         *store_.find("beta"),
                                         *store_.find("mean"),
                                         *store_.find("var"),
                                         kEpsilon,
                                         0.25f};
    const Tensor y =
        batch_norm(context, x, parameters, setting.relu, setting.residual ? &residual : nullptr);
    tape_.give_gradient(context.stream, y, tensor(context, dy_values));
    tape_.backward();
    result.y = get(y);
    result.dgamma = get(store_.find("gamma")->gradient);
    result.dbeta = get(store_.find("beta")->gradient);
    result.running_mean = get(store_.find("mean")->value);
    result.running_var = get(store_.find("var")->value);
    return result;
  }

  Device& device() { return *device_; }

 private:
  void put(const Tensor& to, const Floats& from) {
    device_->runtime().copy_to_device(device_->stream(), to.data(), from.data(), to.bytes());
  }
  Floats get(const Tensor& from) {
    Floats to(from ? from.elements() : 0);
    if (from)
      device_->runtime().copy_to_host(device_->stream(), to.data(), from.data(), from.bytes());
    return to;
  }
  Tensor tensor(Context& context, const Floats& from) {
    Tensor t = context.make({static_cast<int64_t>(from.size()) / kChannels, kChannels}, kFloat);
    put(t, from);
    return t;
  }

  std::unique_ptr<Device> device_;
  Arena arena_;
  Tape tape_;
  ParameterStore store_;
};

struct Wanted {
  std::vector<double> y, dx, dz, dgamma, dbeta, mean, var;
};
// The definitions of kernels/batch_norm.h in double, over all rows at once.
Wanted reference(const Floats& x, const Floats& other, const Floats& dy, const Setting& setting) {
  const int64_t rows = static_cast<int64_t>(x.size()) / kChannels;
  Wanted w;
  w.y.resize(x.size()), w.dx.resize(x.size()), w.dz.resize(x.size());
  for (int64_t c = 0; c < kChannels; ++c) {
    double mean = 0.0, m2 = 0.0, sum = 0.0, sum_xhat = 0.0;
    for (int64_t r = 0; r < rows; ++r) mean += x[r * kChannels + c];
    mean = setting.training ? mean / rows : 3.0;
    for (int64_t r = 0; r < rows; ++r) m2 += std::pow(x[r * kChannels + c] - mean, 2);
    const double variance = setting.training ? m2 / rows : 4.0;
    const double rstd = 1.0 / std::sqrt(variance + kEpsilon);
    const double gamma = value(c, 1, 1.5f), beta = value(c, 2);
    for (int64_t i = c; i < rows * kChannels; i += kChannels) {
      const double xhat = (x[i] - mean) * rstd;
      const double z = xhat * gamma + beta + (setting.residual ? other[i] : 0.0f);
      w.y[i] = setting.relu ? std::max(z, 0.0) : z;
      w.dz[i] = setting.relu && z <= 0.0 ? 0.0 : dy[i];
      sum += w.dz[i];
      sum_xhat += w.dz[i] * xhat;
    }
    const double share = setting.training ? 1.0 / rows : 0.0;
    for (int64_t i = c; i < rows * kChannels; i += kChannels)
      w.dx[i] = gamma * rstd * (w.dz[i] - share * (sum + (x[i] - mean) * rstd * sum_xhat));
    w.dgamma.push_back(sum_xhat);
    w.dbeta.push_back(sum);
    w.mean.push_back(setting.training ? 3.0 + 0.25 * (mean - 3.0) : 3.0);
    w.var.push_back(setting.training ? 4.0 + 0.25 * (m2 / (rows - 1) - 4.0) : 4.0);
  }
  return w;
}

Floats part(const Floats& all, int index, int count) {
  const size_t n = all.size() / count;
  return Floats(all.begin() + index * n, all.begin() + (index + 1) * n);
}

struct Inputs {
  Floats x = values(kRows * kChannels, 3, 3.0f);
  Floats other = values(kRows * kChannels, 4), dy = values(kRows * kChannels, 5);
};

}  // namespace

TEST_CASE("batch norm on one rank is its formula in double") {
  const Inputs in;
  for (const bool relu : {false, true})
    for (const bool residual : {false, true})
      for (const bool training : {true, false}) {
        const Setting setting{relu, residual, training};
        INFO("relu " << relu << ", residual " << residual << ", training " << training);
        Rank rank;
        const Result got = rank.run(in.x, in.other, in.dy, setting, nullptr);
        const Wanted wanted = reference(in.x, in.other, in.dy, setting);
        check_close(got.y, wanted.y, kRows);
        check_close(got.dx, wanted.dx, kRows);
        check_close(got.dgamma, wanted.dgamma, kRows);
        check_close(got.dbeta, wanted.dbeta, kRows);
        check_close(got.running_mean, wanted.mean, kRows);
        check_close(got.running_var, wanted.var, kRows);
        check_close(got.dresidual, residual ? wanted.dz : std::vector<double>(), 1);
      }
}

TEST_CASE("two replicas with shared statistics are one rank with both batches") {
  const Inputs in;
  const Setting setting{true, true, true};
  ThreadSum::Meeting meeting(2);
  Result results[2];
  int64_t calls[2], elements[2];
  std::vector<std::thread> threads;
  for (int r = 0; r < 2; ++r)
    threads.emplace_back([&, r] {
      Rank rank;
      ThreadSum sum(meeting, r, rank.device());
      results[r] =
          rank.run(part(in.x, r, 2), part(in.other, r, 2), part(in.dy, r, 2), setting, &sum);
      calls[r] = sum.calls;
      elements[r] = sum.elements;
    });
  for (std::thread& thread : threads) thread.join();
  const Wanted wanted = reference(in.x, in.other, in.dy, setting);
  const auto both = [&](Floats Result::*member) {
    Floats all = results[0].*member;
    all.insert(all.end(), (results[1].*member).begin(), (results[1].*member).end());
    return all;
  };
  const auto sum = [&](Floats Result::*member) {
    Floats total = results[0].*member;
    for (size_t c = 0; c < total.size(); ++c) total[c] += (results[1].*member)[c];
    return total;
  };
  check_close(both(&Result::y), wanted.y, kRows);
  check_close(both(&Result::dx), wanted.dx, kRows);
  check_close(both(&Result::dresidual), wanted.dz, 1);
  // Each rank keeps its own part of the parameters' gradients.
  CHECK(results[0].dgamma != results[1].dgamma);
  check_close(sum(&Result::dgamma), wanted.dgamma, kRows);
  check_close(sum(&Result::dbeta), wanted.dbeta, kRows);
  // Running statistics agree to the bit, or replicas would drift.
  CHECK(results[0].running_mean == results[1].running_mean);
  CHECK(results[0].running_var == results[1].running_var);
  check_close(results[0].running_mean, wanted.mean, kRows);
  check_close(results[0].running_var, wanted.var, kRows);
  // Two vectors of C forward, one of 2 C backward.
  CHECK(calls[0] == 3);
  CHECK(elements[0] == 4 * kChannels);
}
