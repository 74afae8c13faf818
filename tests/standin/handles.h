// Life of the objects behind the vendors' opaque handles: a handle is live from its creation to its
// destruction, and its storage is never given out again, so that one used too late is recognised.
// Also the calls that a test makes fail (fail_next), to walk through the callers' error paths.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/standin/standin.h"

namespace ab::standin {

// The code that fail_next() asked this function to return, once; 0: none.
int injected(const char* function);

template <class T>
class Handles {
 public:
  explicit Handles(const char* kind) : kind_(kind) {}

  template <class... Arguments>
  T* create(Arguments&&... arguments) {
    std::lock_guard lock(mutex_);
    auto made = std::make_unique<T>(std::forward<Arguments>(arguments)...);
    T* const object = made.get();
    live_[object] = true;
    kept_.push_back(std::move(made));
    return object;
  }
  // Null and a fault when the handle is not live.
  T* find(const void* handle, const char* function) {
    std::lock_guard lock(mutex_);
    const auto found = live_.find(handle);
    if (found != live_.end() && found->second) return static_cast<T*>(const_cast<void*>(handle));
    report(std::string(function) + ": " + kind_ +
           (found == live_.end() ? " that was never created" : " used after its destruction"));
    return nullptr;
  }
  bool destroy(const void* handle, const char* function) {
    if (!find(handle, function)) return false;
    std::lock_guard lock(mutex_);
    live_[handle] = false;
    return true;
  }

 private:
  const char* kind_;
  std::mutex mutex_;
  std::map<const void*, bool> live_;
  std::vector<std::unique_ptr<T>> kept_;
};

}  // namespace ab::standin
