// The work of the loader; loader_state.h says how it is laid out.
#include <algorithm>

#include "data/loader_state.h"
#include "engine/error.h"

namespace ab {

// Decides what the batch holds. Called under the mutex (or without workers), in order of ordinals.
void Loader::State::lay_out(int64_t ordinal) {
  const int64_t steps_in = start_step + ordinal;
  Slot& slot = slot_of(ordinal);
  slot.ordinal = ordinal;
  slot.epoch = start_epoch + steps_in / steps;
  slot.chunks_left = chunks;
  slot.error = nullptr;
  slot.batch.skipped = 0;
  slot.batch.first_skipped.clear();
  const bool training = split == Split::kTrain;
  if (training && order_epoch != slot.epoch) {
    order = epoch_order(dataset.size(), seed, slot.epoch);
    order_epoch = slot.epoch;
  }
  HostBatch& batch = slot.batch;
  batch.height = batch.width = side;
  batch.channels = channels;
  batch.first_sample = rank * local_batch;
  const int64_t begin = (steps_in % steps) * local_batch * world + batch.first_sample;
  batch.count = std::clamp<int64_t>(dataset.size() - begin, 0, local_batch);
  const size_t count = static_cast<size_t>(batch.count);
  batch.pixels.resize(count * image_bytes());
  batch.crops.resize(count);
  batch.labels.resize(count);
  batch.samples.resize(count);
  for (int64_t i = 0; i < batch.count; ++i)
    batch.samples[static_cast<size_t>(i)] =
        training ? order[static_cast<size_t>(begin + i)] : begin + i;
}

void Loader::State::note_bad(Slot& slot, int64_t place, const std::string& problem) {
  const std::lock_guard lock(mutex);
  if (slot.batch.skipped++ > 0 && place > slot.skipped_at) return;
  slot.batch.first_skipped = problem;
  slot.skipped_at = place;
}

void Loader::State::fill(Slot& slot, int64_t chunk, Scratch& scratch) {
  HostBatch& batch = slot.batch;
  const int64_t end = std::min(batch.count, (chunk + 1) * kChunkSamples);
  int64_t i = chunk * kChunkSamples;
  try {
    for (; i < end; ++i) {
      const size_t at = static_cast<size_t>(i);
      const int64_t sample = batch.samples[at];
      const int64_t shown = reader.read(slot.epoch, sample, scratch.image, scratch.problem);
      if (!scratch.problem.empty()) note_bad(slot, i, scratch.problem);
      batch.samples[at] = shown;
      if (shown < 0) continue;
      batch.labels[at] = dataset.label(shown);
      preparer.prepare(scratch.image, slot.epoch, sample, scratch.resize,
                       batch.pixels.data() + at * image_bytes(), batch.crops[at]);
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    if (!slot.error || i < slot.error_at) {
      slot.error = std::current_exception();
      slot.error_at = i;
    }
  }
}

void Loader::State::work() {
  Scratch scratch;
  std::unique_lock lock(mutex);
  while (true) {
    work_ready.wait(lock, [this] { return stopping || ticket < limit; });
    if (stopping) return;
    const int64_t taken = ticket++;
    const int64_t ordinal = taken / chunks;
    Slot& slot = slot_of(ordinal);
    if (taken % chunks == 0) {
      try {
        lay_out(ordinal);
      } catch (...) {  // out of memory: an error of this batch
        slot.batch.count = 0;
        slot.error = std::current_exception();
      }
    }
    ++busy;
    lock.unlock();
    fill(slot, taken % chunks, scratch);
    lock.lock();
    if (--slot.chunks_left == 0) batch_ready.notify_one();
    if (--busy == 0) workers_idle.notify_one();
  }
}

void Loader::State::seek(int64_t epoch, int64_t step) {
  if (epoch < 0 || step < 0 || step > steps)
    throw ConfigError("no place (epoch " + std::to_string(epoch) + ", step " +
                      std::to_string(step) + ") in epochs of " + std::to_string(steps) + " steps");
  if (split == Split::kTest) epoch = 0;  // every pass is the same
  std::unique_lock lock(mutex);
  const int64_t here = start_epoch * steps + start_step + position;
  const int64_t target = epoch * steps + step;
  const bool same = split == Split::kTest ? here % steps == target % steps : here == target;
  if (same && limit > 0 && !failed) return;  // what is prepared already is what is wanted
  limit = ticket = 0;
  workers_idle.wait(lock, [this] { return busy == 0; });
  start_epoch = target / steps;
  start_step = target % steps;
  position = 0;
  failed = false;
  for (Slot& slot : ring) slot.ordinal = -1;
  // Nothing is handed out yet, so every slot may be filled.
  limit = static_cast<int64_t>(ring.size()) * chunks;
  work_ready.notify_all();
}

const HostBatch& Loader::State::next() {
  if (limit == 0) seek(0, 0);
  Slot& slot = slot_of(position);
  if (workers.empty()) {
    lay_out(position);
    for (int64_t chunk = 0; chunk < chunks && !slot.error; ++chunk) fill(slot, chunk, own_scratch);
  } else {
    std::unique_lock lock(mutex);
    if (!failed) {
      // The batch handed out before is the caller's no longer: its slot takes the newest ordinal.
      limit = (position + static_cast<int64_t>(ring.size())) * chunks;
      work_ready.notify_all();
    }
    batch_ready.wait(lock, [&] { return slot.ordinal == position && slot.chunks_left == 0; });
  }
  if (slot.error) {
    failed = true;
    std::rethrow_exception(slot.error);
  }
  ++position;
  if (slot.batch.skipped > 0) drop_skipped(slot.batch);
  return slot.batch;
}

Loader::Loader(const Dataset& dataset, const DataSettings& settings, Split split, int rank,
               int world)
    : state_(std::make_unique<State>(dataset, settings, split, rank, world)) {}

Loader::~Loader() = default;

int64_t Loader::steps_per_epoch() const {
  return state_->steps;
}

void Loader::seek(int64_t epoch, int64_t step) {
  state_->seek(epoch, step);
}

const HostBatch& Loader::next() {
  return state_->next();
}

}  // namespace ab
