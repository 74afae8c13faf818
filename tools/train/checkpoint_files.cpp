#include "tools/train/checkpoint_files.h"

#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/train/file_write.h"

namespace ab {
namespace {

namespace fs = std::filesystem;

std::string numbered(const char* pattern, int64_t number) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, static_cast<long long>(number));
  return text;
}

uint32_t crc_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path + ": cannot be read");
  std::vector<char> block(1 << 20);
  uLong crc = crc32(0, nullptr, 0);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0)
    crc =
        crc32(crc, reinterpret_cast<const Bytef*>(block.data()), static_cast<uInt>(file.gcount()));
  return static_cast<uint32_t>(crc);
}

bool is_done(const std::string& path) {
  return fs::exists(path + "/DONE");
}

// Oldest first; without the folder of a finished run that holds its weights alone.
std::vector<std::string> checkpoints_of(const std::string& run_folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run_folder + "/checkpoints", error)) {
    const std::string path = entry.path().string();
    const bool weights_alone = is_done(path) && !fs::exists(path + "/state.json");
    if (entry.path().filename().string().starts_with("step-") && !weights_alone)
      paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Empty when the checkpoint is whole, else what is wrong with it.
std::string damage_of(const std::string& path) {
  if (!is_done(path)) return "it was not finished";
  try {
    const Json done = read_json(path + "/DONE");
    for (const auto& [name, crc] : done.at("crc32").items()) {
      const std::string file = (fs::path(path) / name).string();
      const auto length = done.at("bytes").at(name).get<uint64_t>();
      if (!fs::exists(file)) return name + " is missing";
      if (fs::file_size(file) != length)
        return name + " has " + std::to_string(fs::file_size(file)) + " bytes instead of " +
               std::to_string(length);
      if (crc_of(file) != crc.get<uint32_t>()) return name + " is damaged: its checksum differs";
    }
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace

std::string checkpoint_path(const std::string& run_folder, int64_t step) {
  return run_folder + "/checkpoints/" + numbered("step-%08lld", step);
}

std::string image_file(const char* kind, int index) {
  return std::string(kind) + (index > 0 ? "-" + std::to_string(index) : "") + ".safetensors";
}

std::string rank_file(int rank, const char* ending) {
  return numbered("rank-%05lld", rank) + ending;
}

Json read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw DataError(path + ": cannot be read");
  Json tree = Json::parse(file, nullptr, false);
  if (!tree.is_object()) throw DataError(path + ": is not a JSON object");
  return tree;
}

Json listing_of(const std::string& folder, const std::vector<std::string>& names) {
  Json crcs = Json::object(), bytes = Json::object();
  for (const std::string& name : names) {
    const std::string path = (fs::path(folder) / name).string();
    crcs[name] = crc_of(path);
    bytes[name] = fs::file_size(path);
  }
  return {{"crc32", crcs}, {"bytes", bytes}};
}

void write_done(const std::string& path, int ranks) {
  std::vector<std::string> of_ranks;
  for (int rank = 0; rank < ranks; ++rank) of_ranks.push_back(rank_file(rank));
  Json done = listing_of(path, of_ranks);
  for (const std::string& name : of_ranks) {
    const Json rank = read_json((fs::path(path) / name).string());
    for (const char* what : {"crc32", "bytes"}) done[what].update(rank.at(what));
  }
  std::vector<fs::path> strangers;
  for (const auto& entry : fs::directory_iterator(path))
    if (!done["crc32"].contains(entry.path().filename().string()))
      strangers.push_back(entry.path());
  for (const fs::path& stranger : strangers) fs::remove_all(stranger);
  write_whole_file(path + "/DONE", json_text(done, 1) + "\n");
  flush_folder(fs::path(path).parent_path().string());
}

void remove_older(const std::string& run_folder, int keep) {
  const std::vector<std::string> paths = checkpoints_of(run_folder);
  std::error_code ignored;
  bool newer = false;  // a whole one was met; the unfinished ones before it stay unfinished
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
    const bool done = is_done(*path);
    if (done && keep-- > 0) {
      newer = true;
    } else if (done || newer) {
      fs::remove(*path + "/DONE", ignored);  // half a removal must not look whole
      fs::remove_all(*path, ignored);
    }
  }
}

std::string newest_checkpoint(const std::string& run_folder, std::vector<std::string>* warnings) {
  const std::vector<std::string> paths = checkpoints_of(run_folder);
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
    const std::string damage = damage_of(*path);
    if (damage.empty()) return *path;
    warnings->push_back("checkpoint " + *path + " is passed over: " + damage);
  }
  return "";
}

}  // namespace ab
