// Tape: what backward has to do, in the order forward did it.
// An operation records a closure that captures the arguments of its backward kernel and nothing
// else; backward() runs them last to first, without recursion, and destroys each one after it ran,
// so that its tensors return to the arena at once. Closures live in memory that is reused from step
// to step.
//
// Policy: activation gradients are set (=) by their first writer and added to (+=) by later ones;
// so are parameter gradients, written straight into the flat buffer.
#pragma once
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "engine/parameter_store.h"

namespace ab {

class Tape {
 public:
  Tape() = default;
  ~Tape() { clear(); }
  Tape(const Tape&) = delete;

  // Gives an operation's result a place for its gradient.
  void track(Tensor& result);
  // Announces that forward used a parameter; its gradient is ready when backward ran every use.
  void use(Parameter& parameter);
  template <class F>
  void record(F backward);

  // The gradient that has reached `result`, moved out; empty if none did (then nothing is to be
  // done).
  Tensor take_gradient(int slot);
  Tensor take_gradient(const Tensor& result) { return take_gradient(result.slot); }
  // Hands dx to whoever produced x. Ignored when x wants none.
  void give_gradient(Stream stream, int slot, Tensor dx);
  void give_gradient(Stream stream, const Tensor& x, Tensor dx) {
    give_gradient(stream, x.slot, std::move(dx));
  }
  // 0 when this is the first contribution to the parameter's gradient in this step, else 1: the
  // beta of the GEMM or kernel that writes parameter.gradient.
  float claim_gradient(Parameter& parameter);
  // The use announced by use() is done; the last one tells the listener.
  void finish_use(Parameter& parameter);

  // What is recorded from now on belongs to this layer (null: to none); returns the one before.
  const std::string* enter_layer(const std::string* name) { return std::exchange(layer_, name); }

  // Called once a step for each parameter, when its gradient is complete.
  void set_listener(std::function<void(Parameter&)> listener) { listener_ = std::move(listener); }

  // seed: gradient of the result (usually of a loss: the loss operation writes it itself).
  // Each layer's closures run in a range with the layer's name (ranges.h), where `ranges` is given.
  void backward(Runtime* ranges = nullptr);
  void clear();
  size_t closures() const { return entries_.size(); }

 private:
  struct Entry {
    void (*run_and_destroy)(void*, bool run);
    void* closure;
    const std::string* layer;
  };
  void* place(size_t bytes);

  static constexpr size_t kPageBytes = 1 << 16;
  std::vector<std::unique_ptr<char[]>> pages_;
  size_t page_ = 0, used_ = 0;
  std::vector<Entry> entries_;
  std::vector<Tensor> gradients_;  // by slot
  std::vector<Parameter*> used_parameters_;
  std::function<void(Parameter&)> listener_;
  const std::string* layer_ = nullptr;
};

template <class F>
void Tape::record(F backward) {
  static_assert(sizeof(F) <= kPageBytes && alignof(F) <= alignof(std::max_align_t));
  void* memory = new (place(sizeof(F))) F(std::move(backward));
  entries_.push_back({[](void* closure, bool run) {
                        struct Destroy {
                          F* f;
                          ~Destroy() { f->~F(); }
                        } last{static_cast<F*>(closure)};  // after a throw too
                        if (run) (*last.f)();
                      },
                      memory, layer_});
}

}  // namespace ab
