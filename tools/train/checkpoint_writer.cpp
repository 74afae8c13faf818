#include "tools/train/checkpoint_writer.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "engine/error.h"
#include "tools/train/checkpoint_files.h"

namespace ab {

using Clock = std::chrono::steady_clock;

CheckpointWriter::CheckpointWriter(std::string folder, Communicator& world, int keep)
    : folder_(std::move(folder)), world_(world), keep_(keep) {}

CheckpointWriter::~CheckpointWriter() {
  abandoned_ = true;  // the futures wait for their threads
}

void CheckpointWriter::begin(const RunState& state, const CheckpointParts& parts) {
  finish();
  step_ = state.step;
  const auto began = Clock::now();
  auto snapshot = take_snapshot(checkpoint_path(folder_, state.step), state, parts);
  part_ = std::async(std::launch::async, [this, began, snapshot = std::move(snapshot)]() mutable {
    write_snapshot(*snapshot, abandoned_);
    snapshot.reset();  // its memory
    return std::chrono::duration<double>(Clock::now() - began).count();
  });
}

bool CheckpointWriter::written() const {
  return part_.valid() && part_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

void CheckpointWriter::settle() {
  if (!part_.valid()) return;
  int64_t whole = 1;
  std::string problem;
  try {
    longest_s_ = std::max(longest_s_, part_.get());
  } catch (const std::exception& error) {
    whole = 0;
    problem = error.what();
  }
  world_.ledger().set_phase(Phase::kCheckpoint);
  std::vector<int64_t> all(static_cast<size_t>(world_.size()));
  world_.all_gather(Purpose::kCheckpoint, &whole, all.data(), 1, DType::kInt64);
  const auto failed = std::find(all.begin(), all.end(), 0);
  if (failed != all.end()) give_up(static_cast<int>(failed - all.begin()), problem);
  if (world_.rank() != 0) return;
  done_ = std::async(std::launch::async, [folder = folder_, path = checkpoint_path(folder_, step_),
                                          ranks = world_.size(), keep = keep_] {
    write_done(path, ranks);
    remove_older(folder, keep);
  });
}

void CheckpointWriter::finish() {
  settle();
  if (!done_.valid()) return;
  try {
    done_.get();
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

// The first rank that failed tells what it met; the others wait for it to end the run.
void CheckpointWriter::give_up(int failed, const std::string& problem) {
  std::error_code ignored;
  if (world_.rank() == 0) std::filesystem::remove_all(checkpoint_path(folder_, step_), ignored);
  int64_t mine = 0;
  std::vector<int64_t> all(static_cast<size_t>(world_.size()));
  if (world_.rank() != failed)
    world_.all_gather(Purpose::kCheckpoint, &mine, all.data(), 1, DType::kInt64);
  fail(problem.empty() ? "rank " + std::to_string(failed) + " failed" : problem);
}

void CheckpointWriter::fail(const std::string& problem) const {
  throw DataError("the checkpoint of step " + std::to_string(step_) +
                  " could not be written: " + problem + "; the one before it is kept");
}

}  // namespace ab
