// Parsing and checking the header of a safetensors file. It is read as a stream of events, never as
// a tree: a hostile header can neither nest deeply nor grow in memory beyond a small multiple of
// its bytes.
#include "tools/train/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "engine/error.h"

namespace ab {
namespace {

constexpr size_t kMaxExtents = 32;

bool dtype_of(const std::string& text, DType* dtype) {
  static const std::map<std::string, DType> kTypes = {
      {"F32", DType::kFloat32}, {"BF16", DType::kBFloat16}, {"F64", DType::kFloat64},
      {"I64", DType::kInt64},   {"I32", DType::kInt32},     {"U8", DType::kUint8}};
  const auto found = kTypes.find(text);
  if (found == kTypes.end()) return false;
  *dtype = found->second;
  return true;
}

// Accepts exactly the two levels of a safetensors header; the first thing out of place ends it.
class HeaderParser final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<SafetensorsEntry> entries;
  Metadata metadata;
  std::string problem;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(int64_t) override { return unexpected("a negative number"); }
  bool number_float(double, const std::string& text) override { return unexpected(text); }
  bool binary(nlohmann::json::binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(uint64_t value) override {
    if (place_ == Place::kOffsets) {
      offsets_.push_back(value);
      return offsets_.size() <= 2 || fail("more than two data_offsets");
    }
    if (place_ != Place::kShape) return unexpected("a number");
    if (value > INT64_MAX) return fail("an extent beyond 63 bits");
    entries.back().shape.push_back(static_cast<int64_t>(value));
    return entries.back().shape.size() <= kMaxExtents || fail("more than 32 extents");
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      metadata[field_] = value;
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") return unexpected("a string");
    return dtype_of(value, &entries.back().dtype) ||
           fail("dtype \"" + value.substr(0, 40) + "\"; F32, BF16, F64, I64, I32 and U8 are read");
  }

  bool start_object(size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
      return true;
    }
    if (place_ != Place::kTop) return unexpected("an object");
    place_ = name_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
    if (place_ == Place::kTensor) entries.emplace_back().name = name_;
    fields_.clear();
    offsets_.clear();
    return true;
  }

  bool key(std::string& value) override {
    if (place_ == Place::kTop) {
      name_ = value;
      return names_.insert(value).second || fail("the name appears twice");
    }
    field_ = value;
    if (!fields_.insert(value).second) return fail("key \"" + value.substr(0, 40) + "\" twice");
    return place_ == Place::kMetadata || value == "dtype" || value == "shape" ||
           value == "data_offsets" || fail("unknown key \"" + value.substr(0, 40) + "\"");
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      if (fields_.size() != 3) return fail("dtype, shape or data_offsets is missing");
      entries.back().begin = offsets_[0];
      entries.back().end = offsets_[1];
    }
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || field_ == "dtype") return unexpected("an array");
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && offsets_.size() != 2)
      return fail("fewer than two data_offsets");
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    problem = "the header is not valid JSON at byte " + std::to_string(position);
    return false;
  }

 private:
  enum class Place { kOutside, kTop, kTensor, kShape, kOffsets, kMetadata };

  bool fail(const std::string& what) {
    problem = "tensor \"" + name_.substr(0, 80) + "\": " + what;
    return false;
  }
  bool unexpected(const std::string& what) { return fail(what + " where the format has none"); }

  Place place_ = Place::kOutside;
  std::string name_, field_;
  std::vector<uint64_t> offsets_;
  std::unordered_set<std::string> names_, fields_;
};

// Empty, or what is wrong with one entry on its own.
std::string size_problem(const SafetensorsEntry& entry, uint64_t buffer_bytes) {
  if (entry.begin > entry.end || entry.end > buffer_bytes) {
    return "data_offsets [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) +
           "] outside the buffer of " + std::to_string(buffer_bytes) + " bytes";
  }
  uint64_t bytes = size_of(entry.dtype);
  for (const int64_t extent : entry.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes)) {
      return "shape " + shape_text(entry.shape) + " overflows";
    }
  }
  if (bytes == entry.bytes()) return "";
  return "shape " + shape_text(entry.shape) + " takes " + std::to_string(bytes) +
         " bytes, data_offsets span " + std::to_string(entry.bytes());
}

// Sorts by offset; the entries must tile the buffer.
std::string layout_problem(std::vector<SafetensorsEntry>& entries, uint64_t buffer_bytes) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    std::string problem = size_problem(entry, buffer_bytes);
    if (problem.empty() && entry.begin != expected) {
      problem = (entry.begin > expected ? "a hole before byte " : "an overlap at byte ") +
                std::to_string(entry.begin);
    }
    if (!problem.empty()) return "tensor \"" + entry.name.substr(0, 80) + "\": " + problem;
    expected = entry.end;
  }
  if (expected == buffer_bytes) return "";
  return std::to_string(buffer_bytes - expected) + " bytes after the last tensor";
}

}  // namespace

SafetensorsHeader parse_safetensors_header(const std::string& path, const std::string& text,
                                           uint64_t buffer_bytes) {
  // The JSON library takes a NUL for the end of its input; JSON has none.
  if (text.empty() || text[0] != '{' || text.find('\0') != std::string::npos) {
    throw DataError(path + ": the header is not a JSON object");
  }
  HeaderParser parser;
  if (!nlohmann::json::sax_parse(text, &parser)) throw DataError(path + ": " + parser.problem);
  const std::string problem = layout_problem(parser.entries, buffer_bytes);
  if (!problem.empty()) throw DataError(path + ": " + problem);
  return {std::move(parser.entries), std::move(parser.metadata)};
}

}  // namespace ab
