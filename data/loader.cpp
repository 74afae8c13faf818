// Loader: a ring of batches, filled in chunks of a few samples so that many threads can share one
// batch.
//   ordinal  batches counted from the last seek; ordinal o lives in slot o mod ring
//   ticket   chunk number since the last seek; ticket t is chunk t mod chunks of ordinal t / chunks
// One mutex guards the counters and the slots' bookkeeping; pixels are written outside it, each
// chunk by one thread. The thread that takes a batch's first ticket lays the batch out (which image
// goes where), so nothing that a batch contains depends on who fills it. The slot that next()
// handed out last is refilled only after the following call, and its vectors keep their memory.
#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "data/order.h"
#include "data/prepare.h"
#include "engine/error.h"

namespace ab {

namespace {

constexpr int64_t kChunkSamples = 16;

struct Slot {
  HostBatch batch;
  int64_t ordinal = -1, epoch = 0;
  int64_t chunks_left = 0;
  int64_t error_at = 0;  // place in the batch of the earliest error
  std::exception_ptr error;
};

struct Scratch {  // of one thread
  Image image;
  ResizeScratch resize;
};

}  // namespace

struct Loader::State {
  State(const Dataset& dataset, const DataSettings& settings, Split split, int rank, int world)
      : dataset(dataset),
        preparer(settings, split),
        split(split),
        seed(settings.seed),
        local_batch(settings.local_batch),
        rank(rank),
        world(world),
        side(settings.image),
        channels(dataset.channels()),
        steps(ab::steps_per_epoch(dataset.size(), settings, split, rank, world)),
        chunks((local_batch + kChunkSamples - 1) / kChunkSamples) {
    // Room for two batches ahead, and for two chunks per worker.
    const int64_t ahead = std::max<int64_t>(2, (2 * settings.workers + chunks - 1) / chunks);
    ring.resize(static_cast<size_t>(settings.workers == 0 ? 1 : 1 + ahead));
    try {
      for (int i = 0; i < settings.workers; ++i) workers.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }

  ~State() { stop(); }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    work_ready.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  size_t image_bytes() const { return static_cast<size_t>(side) * side * channels; }
  Slot& slot_of(int64_t ordinal) { return ring[static_cast<size_t>(ordinal) % ring.size()]; }

  void lay_out(int64_t ordinal);
  void fill(Slot& slot, int64_t chunk, Scratch& scratch);
  void work();
  void seek(int64_t epoch, int64_t step);
  const HostBatch& next();

  const Dataset& dataset;
  const Preparer preparer;
  const Split split;
  const uint64_t seed;
  const int64_t local_batch;
  const int rank, world, side, channels;
  const int64_t steps, chunks;

  std::vector<Slot> ring;
  std::vector<int64_t> order;  // of epoch order_epoch; unused in validation
  int64_t order_epoch = -1;
  Scratch own_scratch;  // of the caller's thread, without workers

  std::mutex mutex;
  std::condition_variable work_ready, batch_ready, workers_idle;
  int64_t start_epoch = 0, start_step = 0;  // of ordinal 0
  int64_t ticket = 0;                       // the next one to be taken
  int64_t limit = 0;                        // tickets below it may be taken
  int64_t position = 0;                     // ordinal that next() returns next
  int busy = 0;                             // workers that are filling a chunk
  bool failed = false, stopping = false;
  std::vector<std::thread> workers;
};

// Decides what the batch holds. Called under the mutex (or without workers), in order of ordinals.
void Loader::State::lay_out(int64_t ordinal) {
  const int64_t steps_in = start_step + ordinal;
  Slot& slot = slot_of(ordinal);
  slot.ordinal = ordinal;
  slot.epoch = start_epoch + steps_in / steps;
  slot.chunks_left = chunks;
  slot.error = nullptr;
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

void Loader::State::fill(Slot& slot, int64_t chunk, Scratch& scratch) {
  HostBatch& batch = slot.batch;
  const int64_t end = std::min(batch.count, (chunk + 1) * kChunkSamples);
  int64_t i = chunk * kChunkSamples;
  try {
    for (; i < end; ++i) {
      const size_t at = static_cast<size_t>(i);
      const int64_t sample = batch.samples[at];
      dataset.read(sample, scratch.image);
      batch.labels[at] = dataset.label(sample);
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
