// Placement: blocks sorted by size, the largest first; each goes to the lowest offset that is free
// during its whole life. Any departure from the recorded sequence of acquires and releases is
// noticed at its first event, when all addresses given out so far still match what is live; from
// there on blocks are allocated one by one again, and the next end_step() makes a new layout.
#include "engine/arena.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace ab {
namespace {

constexpr size_t kUnit = 64;

size_t rounded(size_t bytes) {
  return std::max(kUnit, (bytes + kUnit - 1) / kUnit * kUnit);
}

}  // namespace

Arena::~Arena() {
  for (Block& block : blocks_)
    if (block.own && block.references > 0) device_.release(block.address, block.bytes);
}

int Arena::acquire(size_t bytes) {
  const int index = static_cast<int>(blocks_.size());
  Block block;
  block.bytes = rounded(bytes);
  block.references = 1;
  block.born = clock_;
  if (replaying_ && (index >= static_cast<int>(slots_.size()) ||
                     slots_[index].bytes != block.bytes || slots_[index].born != clock_))
    replaying_ = false;
  block.own = !replaying_;
  block.address =
      replaying_ ? slab_.data().plus_bytes(slots_[index].offset) : device_.allocate(block.bytes);
  ++clock_;
  ++live_blocks_;
  live_ += block.bytes;
  peak_live_ = std::max(peak_live_, live_);
  blocks_.push_back(block);
  return index;
}

void Arena::retain(int block) {
  ++blocks_[block].references;
}

void Arena::release(int index) {
  Block& block = blocks_[index];
  if (--block.references > 0) return;
  if (replaying_ && slots_[index].died != clock_) replaying_ = false;
  block.died = clock_++;
  --live_blocks_;
  live_ -= block.bytes;
  if (block.own) device_.release(block.address, block.bytes);
}

void Arena::end_step() {
  if (live_blocks_ != 0)
    throw std::logic_error("arena: " + std::to_string(live_blocks_) +
                           " tensors outlive the step they were made in");
  const bool as_planned = replaying_ && blocks_.size() == slots_.size();
  if (!as_planned) plan();
  blocks_.clear();
  clock_ = 0;
  replaying_ = !slots_.empty();
}

void Arena::reset() {
  if (live_blocks_ != 0) throw std::logic_error("arena: reset while tensors are alive");
  blocks_.clear();
  slots_.clear();
  slab_ = Buffer();
  peak_live_ = 0;
  ++layouts_;
  clock_ = 0;
  replaying_ = false;
}

void Arena::plan() {
  ++layouts_;
  slots_.resize(blocks_.size());
  for (size_t i = 0; i < blocks_.size(); ++i)
    slots_[i] = {blocks_[i].bytes, 0, blocks_[i].born, blocks_[i].died};
  std::vector<int> order(slots_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return slots_[a].bytes > slots_[b].bytes; });
  std::vector<int> placed;  // kept sorted by offset
  size_t end = 0;
  for (const int i : order) {
    Slot& slot = slots_[i];
    size_t offset = 0;
    for (const int j : placed) {
      const Slot& other = slots_[j];
      if (other.died < slot.born || slot.died < other.born) continue;  // never alive together
      if (offset + slot.bytes <= other.offset) break;
      offset = std::max(offset, other.offset + other.bytes);
    }
    slot.offset = offset;
    end = std::max(end, offset + slot.bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), i,
                         [&](int a, int b) { return slots_[a].offset < slots_[b].offset; }),
        i);
  }
  if (end != slab_.bytes()) {
    slab_ = Buffer();  // the old slab goes before the new one comes
    if (end > 0) slab_ = Buffer(device_, end);
  }
}

}  // namespace ab
