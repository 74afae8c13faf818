// The one file that is compiled again when the commit changes.
#include "tools/train/version.h"

#include "tools/train/options.h"

namespace ab {

const char* version_number() {
  return AB_VERSION;
}
const char* version_commit() {
  return AB_COMMIT;
}
std::string version_text() {
  return std::string("abtrain ") + version_number() + " (" + version_commit() + ")";
}

}  // namespace ab
