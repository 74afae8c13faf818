// Arena: where the tensors of a step live. The first step records every request with its lifetime;
// end_step() then lays all of them out in one slab, and every later step of the same shape replays
// the offsets: no allocation, no search. A step that asks for something else is recorded anew.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/device.h"

namespace ab {

class Arena {
 public:
  explicit Arena(Device& device) : device_(device) {}
  ~Arena();
  Arena(const Arena&) = delete;

  Device& device() const { return device_; }

  // A block with one reference. Blocks die when the last reference goes, which must be before
  // end_step() returns.
  int acquire(size_t bytes);
  void retain(int block);
  void release(int block);
  DevicePtr address(int block) const { return blocks_[block].address; }
  int references(int block) const { return blocks_[block].references; }

  // Marks the border between two steps; all blocks must be dead.
  void end_step();
  // Forgets the layout and frees the slab: the shapes of the next step differ.
  void reset();

  // Changes whenever the addresses of a later step may differ from those of the last one.
  int64_t layouts() const { return layouts_; }
  size_t slab_bytes() const { return slab_.bytes(); }
  // Largest sum of live bytes held at any moment since the last reset().
  size_t peak_live_bytes() const { return peak_live_; }

 private:
  struct Block {
    DevicePtr address;
    size_t bytes = 0;
    int references = 0;
    int born = 0, died = 0;  // positions in the step's sequence of acquires and releases
    bool own = false;        // allocated alone (recording), not in the slab
  };
  struct Slot {
    size_t bytes = 0, offset = 0;
    int born = 0, died = 0;
  };

  void plan();

  Device& device_;
  std::vector<Block> blocks_;  // by order of acquisition in this step
  std::vector<Slot> slots_;    // the recorded step's layout
  Buffer slab_;
  size_t live_ = 0, peak_live_ = 0;
  int64_t layouts_ = 0;
  int clock_ = 0;
  int live_blocks_ = 0;
  bool replaying_ = false;
};

}  // namespace ab
