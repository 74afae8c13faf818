#include "tools/train/plan_options.h"

#include <CLI/CLI.hpp>

namespace ab {
namespace {

void add_world(CLI::App& plan, Options& options) {
  plan.add_option("--nodes", options.nodes,
                  "nodes of the run; with --scan: the nodes that the configuration is written for, "
                  "the first of the list where it is left out")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  plan.add_option("--ranks-per-node", options.ranks_per_node, "ranks (GPUs) on each node")
      ->required()
      ->check(CLI::Range(1, 4096))
      ->type_name("R");
  auto* scan = plan.add_option("--scan", options.scan,
                               "one table over these node counts, as in 2,4,8,16; with the local "
                               "batch of the configuration, steps scaled so that epochs and phases "
                               "keep their images")
                   ->delimiter(',')
                   ->check(CLI::Range(1, 1 << 20))
                   ->type_name("N,N,...");
  plan.add_option("--global-batch", options.scan_batch,
                  "with --scan: N samples per step at every node count")
      ->needs(scan)
      ->check(CLI::Range(1, 1 << 30))
      ->type_name("N");
}

void add_ranks(CLI::App& plan, Options& options) {
  auto* from = plan.add_option("--ranks-from", options.ranks_from,
                               "folder of a finished run whose layer ranks are replayed; without "
                               "it the plan shows the interval from rank 1 to full rank")
                   ->type_name("RUN_DIR");
  plan.add_option("--compression", options.compression,
                  "compression X : 1, by the same share of the full rank in every layer")
      ->excludes(from)
      ->check(CLI::PositiveNumber)
      ->type_name("X");
}

void add_time(CLI::App& plan, Options& options) {
  auto* step = plan.add_option("--step-seconds", options.step_seconds,
                               "compute time of one step, measured on one rank, for times")
                   ->check(CLI::PositiveNumber)
                   ->type_name("S");
  plan.add_option("--images-per-second", options.images_per_second,
                  "of one rank that computes alone; instead of --step-seconds")
      ->excludes(step)
      ->check(CLI::PositiveNumber)
      ->type_name("X");
  plan.add_option("--link-gbit", options.link_gbit,
                  "speed of a node's link in Gbit/s each way, for times")
      ->check(CLI::PositiveNumber)
      ->type_name("X");
  plan.add_option("--link-latency-us", options.link_latency_us,
                  "latency of a message between nodes in microseconds; default 0")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  plan.add_option("--node-link-gbit", options.node_link_gbit,
                  "speed from one rank to the next inside a node; default: --link-gbit")
      ->check(CLI::PositiveNumber)
      ->type_name("X");
  plan.add_option("--node-latency-us", options.node_latency_us,
                  "latency inside a node; default: --link-latency-us")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X");
  plan.add_option("--overlap", options.overlap,
                  "share of a step's compute time in which gradients can travel; default 0.5, "
                  "0: all are waited for")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("X");
}

}  // namespace

void add_plan_options(CLI::App& plan, Options& options) {
  add_world(plan, options);
  add_ranks(plan, options);
  add_time(plan, options);
  plan.add_flag("--json", options.json, "one JSON object on stdout, nothing else");
  plan.callback([&options] { options.command = Command::kPlan; });
}

}  // namespace ab
