// Communicator: ranks that exchange tensors. The only door to a collective: every public call books
// itself in the ledger and then runs a backend's private implementation.
//   local   N ranks as threads of one process (one rank is a legal world)
//   mpi     MPI point-to-point rings, driven by a progress thread, so that buckets travel meanwhile
// Both backends run the same algorithm (traffic.h) with the same order of summation, so their
// results agree to the bit. Collectives on one rank must be started in the same order on all ranks.
// Errors: CommunicationError naming rank, communicator, collective and phase; after an abort every
// blocked call on every rank throws.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "distributed/ledger.h"
#include "engine/error.h"

namespace ab {

class Device;

// Another rank has ended the run, with this exit code; what() says which and why.
struct EndedElsewhere : CommunicationError {
  EndedElsewhere(const std::string& text, int code) : CommunicationError(text), exit_code(code) {}
  int exit_code;
};

// A process of this node is gone.
struct RankLost : CommunicationError {
  using CommunicationError::CommunicationError;
};

// A collective under way; wait() returns when the data has arrived, or throws what stopped it.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual void wait() = 0;
};

// One collective as a rank asked for it; what ranks must agree on is everything but the addresses.
struct CollectiveCall {
  Collective collective = Collective::kAllReduce;
  Purpose purpose = Purpose::kGradients;
  Phase phase = Phase::kStart;
  int64_t elements = 0;
  DType dtype = DType::kFloat32;
  int root = 0;
  void* values = nullptr;      // in and out; all-gather: out, size() blocks
  const void* mine = nullptr;  // all-gather: in
  Stream stream;               // of the device whose memory `values` is; after its work so far
  int64_t step = 0;            // of the run, counted from 1; 0: none
};

// "all_reduce of 10 fp32 for gradients in phase warmup, step 3"
std::string text_of(const CollectiveCall& call);

struct CommunicatorOptions {
  double timeout_s = 600.0;  // longest a wait may last; 0: for ever
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;

  const std::string& name() const { return name_; }
  int rank() const { return rank_; }
  int size() const { return static_cast<int>(nodes_.size()); }
  const std::vector<int>& nodes() const { return nodes_; }  // node of each rank
  Ledger& ledger() const { return *ledger_; }

  // values[i] <- sum over ranks of values[i]; fp32, bf16 (summed in float at every hop, stored
  // bf16), fp64, int64. Addresses of host memory.
  std::unique_ptr<Pending> start_all_reduce(Purpose purpose, void* values, int64_t elements,
                                            DType dtype);
  void all_reduce(Purpose purpose, void* values, int64_t elements, DType dtype);
  void broadcast(Purpose purpose, void* values, int64_t elements, DType dtype, int root);
  // The same over the memory of a device: in the order of `stream`, which goes on after wait() with
  // the results in place. GPU memory needs a communicator made by device_world().
  std::unique_ptr<Pending> start_all_reduce(Purpose purpose, Stream stream, DevicePtr values,
                                            int64_t elements, DType dtype);
  void broadcast(Purpose purpose, Stream stream, DevicePtr values, int64_t elements, DType dtype,
                 int root);
  // all: size() blocks of `elements`; this rank's block is read from `mine`.
  void all_gather(Purpose purpose, const void* mine, void* all, int64_t elements, DType dtype);
  // Every rank's numbers, equally many, by rank.
  std::vector<int64_t> all_gather(Purpose purpose, const std::vector<int64_t>& mine);

  // Ranks with one color form a communicator, ordered by rank. Every rank calls it. Costs no ledger
  // bytes: it is set-up, not data.
  std::unique_ptr<Communicator> split(int color, const std::string& name);
  // Whether every rank says so. Every rank calls it; set-up as well, it costs no ledger bytes.
  bool agree(bool mine);
  // Before abort(): tells the other ranks how the run ends, and waits until rank 0 has said how it
  // ends there, at most a few seconds. True when rank 0 gave the same reason.
  virtual bool say_farewell(int, const std::string&) { return false; }
  // Ends the run everywhere: blocked calls of all ranks throw, mpi ends the job with exit_code.
  virtual void abort(int exit_code, const std::string& reason) = 0;
  // Throws where another rank of this process has ended the run; for whoever waits elsewhere.
  virtual void check_partners() {}

 protected:
  Communicator(std::string name, int rank, std::vector<int> nodes, std::shared_ptr<Ledger> ledger)
      : name_(std::move(name)), rank_(rank), nodes_(std::move(nodes)), ledger_(std::move(ledger)) {}

  std::shared_ptr<Ledger> shared_ledger() const { return ledger_; }
  // For communicators that stand on another one: its ledger, and collectives that nobody books.
  static std::shared_ptr<Ledger> ledger_of(const Communicator& other) { return other.ledger_; }
  static std::unique_ptr<Pending> run_unbooked(Communicator& other, const CollectiveCall& call) {
    return other.run(call);
  }

 private:
  // Whether collectives over memory of such a device can be carried out.
  virtual bool reaches(DeviceKind kind) const { return kind != DeviceKind::kCuda; }
  std::unique_ptr<Pending> book_and_run(CollectiveCall call);
  // Never asked on a communicator of one rank. Starts the collective and returns at once.
  virtual std::unique_ptr<Pending> run(const CollectiveCall& call) = 0;
  virtual std::unique_ptr<Communicator> run_split(int color, const std::string& name) = 0;

  std::string name_;
  int rank_;
  std::vector<int> nodes_;
  std::shared_ptr<Ledger> ledger_;
};

// --- backends ---

// Runs body(world) on `ranks` threads, each with its own Communicator "world"; rank r is on node
// r / ranks_per_node. Returns when all ended. The first exception that a rank threw (not the ones
// its abort caused in others) is rethrown.
void run_local_ranks(int ranks, int ranks_per_node,
                     const std::function<void(Communicator& world)>& body,
                     const CommunicatorOptions& options = {});

// The MPI world; MPI_Init and MPI_Finalize are its constructor's and destructor's. Null when the
// program was not started by an MPI launcher. MPI_Finalize is left out while an exception unwinds
// or after a failed collective, because it would wait for ranks that do not come. cores receives
// this rank's share of its node's cores, hosts every rank's host. Throws ConfigError where MPI does
// not find the ranks that the launcher started.
std::unique_ptr<Communicator> mpi_world(const CommunicatorOptions& options = {},
                                        int* cores = nullptr,
                                        std::vector<std::string>* hosts = nullptr);
// Name and version of the MPI in this build; may be asked at any time.
std::string mpi_library();

// A communicator over the ranks of `world`, which must outlive it, for tensors on `device` (each
// rank's own): NCCL where every rank has a GPU to itself, by way of host memory where ranks share
// one. What lies in host memory goes on through `world`, and the ledger is world's. Null for the
// host device, whose memory every communicator reaches. All ranks call it; it costs no ledger
// bytes.
std::unique_ptr<Communicator> device_world(Communicator& world, Device& device,
                                           const CommunicatorOptions& options = {});

}  // namespace ab
