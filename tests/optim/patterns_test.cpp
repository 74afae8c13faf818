#include "engine/patterns.h"

#include "tests/catch.h"

using namespace ab;

TEST_CASE("a pattern without wildcards is a substring") {
  CHECK(matches_pattern("blocks.3.norm1.weight", "norm"));
  CHECK(matches_pattern("head.bias", "head.bias"));
  CHECK_FALSE(matches_pattern("head.bias", "Head"));
  CHECK_FALSE(matches_pattern("head", "head.bias"));
  CHECK_FALSE(matches_pattern("head", ""));
}

TEST_CASE("wildcards match the whole name") {
  CHECK(matches_pattern("blocks.3.norm1.weight", "blocks.?.norm*"));
  CHECK_FALSE(matches_pattern("blocks.11.norm1.weight", "blocks.?.norm*"));
  CHECK(matches_pattern("blocks.11.norm1.weight", "blocks.??.*.weight"));
  CHECK(matches_pattern("conv1.bias", "*.bias"));
  CHECK_FALSE(matches_pattern("conv1.bias_extra", "*.bias"));
  CHECK(matches_pattern("anything", "*"));
  CHECK(matches_pattern("", "*"));
  CHECK_FALSE(matches_pattern("", "?"));
  // The first star has to give way twice: "ab" occurs three times.
  CHECK(matches_pattern("ab.ab.abc", "*ab?"));
  CHECK(matches_pattern("aXbXbc", "a*b*c"));
  CHECK_FALSE(matches_pattern("aXbXbd", "a*b*c"));
}

TEST_CASE("any of several patterns") {
  CHECK(matches_any_pattern("pos_embed", {"*.bias", "embed"}));
  CHECK_FALSE(matches_any_pattern("fc1.weight", {"*.bias", "embed"}));
  CHECK_FALSE(matches_any_pattern("fc1.weight", {}));
}
