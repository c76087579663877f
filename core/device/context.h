#ifndef EQUIPOISE_CORE_DEVICE_CONTEXT_H_
#define EQUIPOISE_CORE_DEVICE_CONTEXT_H_

#include "core/device/device.h"
#include "core/device/workspace.h"

namespace equipoise {

// An ordered queue of work on a device. Work enqueued on one stream runs in order; on the CPU it
// has run by the time the call returns.
class Stream {
 public:
  virtual ~Stream() = default;
  // Returns when everything enqueued before has run.
  virtual void Synchronize() = 0;
};

std::unique_ptr<Stream> MakeCpuStream();

// Something that moves only when it is called, such as messages of a transport without a thread of
// its own. Long operations call it between their pieces.
class Progress {
 public:
  virtual ~Progress() = default;
  // Moves on whatever there is. Quick; leaves workspaces as they were.
  virtual void Poll() = 0;
};

// Where an operation runs and where it takes memory from. Every op and collective takes one and
// returns when its work is enqueued. A bundle of borrowed pointers: cheap to copy, one per rank,
// not to be shared between threads.
struct Context {
  Device* device = nullptr;
  Stream* stream = nullptr;
  // For what lives inside one call. An op opens a WorkspaceFrame on it and leaves it as it was.
  Workspace* scratch = nullptr;
  // For what the forward pass saves and the backward pass reads, in stack order.
  Workspace* activations = nullptr;
  // Null: nothing to move on.
  Progress* progress = nullptr;

  void Poll() const {
    if (progress != nullptr) progress->Poll();
  }
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DEVICE_CONTEXT_H_
