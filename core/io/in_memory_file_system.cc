#include "core/io/in_memory_file_system.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise {
namespace {

absl::Status Failed(const char* operation, const std::string& path, int error_number) {
  return absl::ErrnoToStatus(error_number, absl::StrCat("cannot ", operation, " '", path, "'"));
}

class HeldBytes final : public FileView {
 public:
  explicit HeldBytes(std::string contents) : contents_(std::move(contents)) {}
  std::span<const std::byte> bytes() const override {
    return std::as_bytes(std::span<const char>(contents_.data(), contents_.size()));
  }

 private:
  const std::string contents_;
};

std::vector<std::string> Components(const std::string& path) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : path + "/") {
    if (c != '/') {
      part += c;
    } else if (!part.empty() && part != ".") {
      parts.push_back(std::exchange(part, {}));
    } else {
      part.clear();
    }
  }
  return parts;
}

}  // namespace

struct InMemoryFileSystem::Node {
  explicit Node(bool is_directory) : is_directory(is_directory) {}

  const bool is_directory;
  std::string contents;
  std::string synced_contents;
  std::map<std::string, NodePtr> entries;
  std::map<std::string, NodePtr> synced_entries;
};

class InMemoryWritableFile final : public WritableFile {
 public:
  InMemoryWritableFile(InMemoryFileSystem* file_system, std::string path,
                       InMemoryFileSystem::NodePtr node)
      : file_system_(file_system), path_(std::move(path)), node_(std::move(node)) {}

  using WritableFile::Append;
  absl::Status Append(std::span<const std::byte> bytes) override {
    const std::lock_guard<std::mutex> lock(file_system_->mutex_);
    const absl::Status status = Count("write to");
    const size_t accepted = status.ok() ? bytes.size() : bytes.size() / 2;
    node_->contents.append(reinterpret_cast<const char*>(bytes.data()), accepted);
    return status;
  }

  absl::Status Sync() override {
    const std::lock_guard<std::mutex> lock(file_system_->mutex_);
    EQ_RETURN_IF_ERROR(Count("sync"));
    node_->synced_contents = node_->contents;
    return absl::OkStatus();
  }

  absl::Status Close() override {
    const std::lock_guard<std::mutex> lock(file_system_->mutex_);
    return Count("close");
  }

 private:
  // With the file system's mutex held.
  absl::Status Count(const char* operation) {
    return file_system_->CountOperation(operation, path_);
  }

  InMemoryFileSystem* const file_system_;
  const std::string path_;
  const InMemoryFileSystem::NodePtr node_;
};

InMemoryFileSystem::InMemoryFileSystem() : root_(std::make_shared<Node>(true)) {}
InMemoryFileSystem::~InMemoryFileSystem() = default;

void InMemoryFileSystem::FailOperations(int64_t first, int64_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  first_failing_ = first;
  num_failing_ = count;
}

void InMemoryFileSystem::StopFailing() { FailOperations(-1, 0); }

int64_t InMemoryFileSystem::num_operations() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return num_operations_;
}

void InMemoryFileSystem::Crash() {
  const std::lock_guard<std::mutex> lock(mutex_);
  root_->synced_entries = root_->entries;
  std::vector<NodePtr> pending = {root_};
  while (!pending.empty()) {
    const NodePtr node = pending.back();
    pending.pop_back();
    node->contents = node->synced_contents;
    node->entries = node->synced_entries;
    for (const auto& [name, child] : node->entries) pending.push_back(child);
  }
}

absl::Status InMemoryFileSystem::CountOperation(const char* operation, const std::string& path) {
  const int64_t index = num_operations_++;
  if (first_failing_ >= 0 && index >= first_failing_ && index - first_failing_ < num_failing_) {
    return Failed(operation, path, ENOSPC);
  }
  return absl::OkStatus();
}

InMemoryFileSystem::NodePtr InMemoryFileSystem::Find(const std::string& path) const {
  NodePtr node = root_;
  for (const std::string& name : Components(path)) {
    const auto entry = node->entries.find(name);
    if (entry == node->entries.end()) return nullptr;
    node = entry->second;
  }
  return node;
}

InMemoryFileSystem::NodePtr InMemoryFileSystem::FindParent(const std::string& path) const {
  const std::string parent = DirectoryOf(path);
  NodePtr node = Find(parent);
  return node != nullptr && node->is_directory ? node : nullptr;
}

absl::Status InMemoryFileSystem::CreateDirectories(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EQ_RETURN_IF_ERROR(CountOperation("create directory", path));
  NodePtr node = root_;
  for (const std::string& name : Components(path)) {
    NodePtr& child = node->entries[name];
    if (child == nullptr) child = std::make_shared<Node>(true);
    if (!child->is_directory) return Failed("create directory", path, ENOTDIR);
    node = child;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<WritableFile>> InMemoryFileSystem::Open(const std::string& path,
                                                                       bool truncate) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EQ_RETURN_IF_ERROR(CountOperation("create", path));
  const NodePtr parent = FindParent(path);
  if (parent == nullptr) return Failed("create", path, ENOENT);
  NodePtr& node = parent->entries[BaseNameOf(path)];
  if (node == nullptr) node = std::make_shared<Node>(false);
  if (node->is_directory) return Failed("create", path, EISDIR);
  if (truncate) node->contents.clear();
  return std::make_unique<InMemoryWritableFile>(this, path, node);
}

absl::StatusOr<std::unique_ptr<WritableFile>> InMemoryFileSystem::Create(const std::string& path) {
  return Open(path, /*truncate=*/true);
}

absl::StatusOr<std::unique_ptr<WritableFile>> InMemoryFileSystem::OpenAppend(
    const std::string& path) {
  return Open(path, /*truncate=*/false);
}

absl::Status InMemoryFileSystem::Truncate(const std::string& path, uint64_t size) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EQ_RETURN_IF_ERROR(CountOperation("truncate", path));
  const NodePtr node = Find(path);
  if (node == nullptr) return Failed("truncate", path, ENOENT);
  EQ_CHECK_LE(size, node->contents.size());
  node->contents.resize(size);
  return absl::OkStatus();
}

absl::Status InMemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EQ_RETURN_IF_ERROR(CountOperation("rename to", to));
  const NodePtr node = Find(from);
  const NodePtr target = Find(to);
  const NodePtr to_parent = FindParent(to);
  if (node == nullptr || to_parent == nullptr) return Failed("rename to", to, ENOENT);
  if (target != nullptr && target->is_directory != node->is_directory) {
    return Failed("rename to", to, node->is_directory ? ENOTDIR : EISDIR);
  }
  if (target != nullptr && !target->entries.empty()) return Failed("rename to", to, ENOTEMPTY);
  FindParent(from)->entries.erase(BaseNameOf(from));
  to_parent->entries[BaseNameOf(to)] = node;
  return absl::OkStatus();
}

absl::Status InMemoryFileSystem::Exchange(const std::string& a, const std::string& b) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EQ_RETURN_IF_ERROR(CountOperation("exchange", a));
  if (Find(a) == nullptr || Find(b) == nullptr) return Failed("exchange", a, ENOENT);
  std::swap(FindParent(a)->entries[BaseNameOf(a)], FindParent(b)->entries[BaseNameOf(b)]);
  return absl::OkStatus();
}

absl::Status InMemoryFileSystem::SyncDirectory(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EQ_RETURN_IF_ERROR(CountOperation("sync directory", path));
  const NodePtr node = Find(path);
  if (node == nullptr || !node->is_directory) return Failed("sync directory", path, ENOENT);
  node->synced_entries = node->entries;
  return absl::OkStatus();
}

absl::Status InMemoryFileSystem::RemoveAll(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EQ_RETURN_IF_ERROR(CountOperation("remove", path));
  const NodePtr parent = FindParent(path);
  const NodePtr node = Find(path);
  if (parent == nullptr || node == nullptr) return absl::OkStatus();
  // What a directory held may be gone for good before its own name is.
  node->entries.clear();
  node->synced_entries.clear();
  parent->entries.erase(BaseNameOf(path));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> InMemoryFileSystem::List(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const NodePtr node = Find(path);
  if (node == nullptr) return Failed("list directory", path, ENOENT);
  if (!node->is_directory) return Failed("list directory", path, ENOTDIR);
  std::vector<std::string> names;
  for (const auto& [name, child] : node->entries) names.push_back(name);
  return names;
}

bool InMemoryFileSystem::Exists(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Find(path) != nullptr;
}

absl::StatusOr<uint64_t> InMemoryFileSystem::FileSize(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const NodePtr node = Find(path);
  if (node == nullptr) return Failed("read", path, ENOENT);
  if (node->is_directory) return Failed("read", path, EISDIR);
  return node->contents.size();
}

absl::StatusOr<std::unique_ptr<FileView>> InMemoryFileSystem::Map(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const NodePtr node = Find(path);
  if (node == nullptr) return Failed("open", path, ENOENT);
  if (node->is_directory) return Failed("open", path, EISDIR);
  return std::make_unique<HeldBytes>(node->contents);
}

}  // namespace equipoise
