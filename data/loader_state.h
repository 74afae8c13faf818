// Loader: a ring of batches, filled in chunks of a few samples so that many threads can share one
// batch.
//   ordinal  batches counted from the last seek; ordinal o lives in slot o mod ring
//   ticket   chunk number since the last seek; ticket t is chunk t mod chunks of ordinal t / chunks
// One mutex guards the counters and the slots' bookkeeping; pixels are written outside it, each
// chunk by one thread. The thread that takes a batch's first ticket lays the batch out (which image
// goes where), so nothing that a batch contains depends on who fills it. The slot that next()
// handed out last is refilled only after the following call, and its vectors keep their memory.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "data/bad_images.h"
#include "data/loader.h"
#include "data/order.h"
#include "data/prepare.h"

namespace ab {

constexpr int64_t kChunkSamples = 16;

struct Slot {
  HostBatch batch;
  int64_t ordinal = -1, epoch = 0;
  int64_t chunks_left = 0;
  int64_t error_at = 0;  // place in the batch of the earliest error
  std::exception_ptr error;
  int64_t skipped_at = 0;  // place of batch.first_skipped
};

struct Scratch {  // of one thread
  Image image;
  ResizeScratch resize;
  std::string problem;
};

struct Loader::State {
  State(const Dataset& dataset, const DataSettings& settings, Split split, int rank, int world)
      : dataset(dataset),
        reader(dataset, settings, split),
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
  void note_bad(Slot& slot, int64_t place, const std::string& problem);
  void work();
  void seek(int64_t epoch, int64_t step);
  const HostBatch& next();

  const Dataset& dataset;
  const ImageReader reader;
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

}  // namespace ab
