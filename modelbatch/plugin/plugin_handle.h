// A plugin's backend and datasets as the host holds them.
#ifndef MODELBATCH_PLUGIN_PLUGIN_HANDLE_H_
#define MODELBATCH_PLUGIN_PLUGIN_HANDLE_H_

#include <memory>
#include <utility>

#include "modelbatch/backend/backend.h"
#include "modelbatch/plugin/c_api.h"

namespace modelbatch {

// Shared by everything that was made with the backend.
struct PluginHandle {
  PluginHandle(const MB_PluginApi* a, MB_Backend* b) : api(a), backend(b) {}
  ~PluginHandle() { api->backend_destroy(backend); }
  PluginHandle(const PluginHandle&) = delete;
  PluginHandle& operator=(const PluginHandle&) = delete;

  const MB_PluginApi* const api;
  MB_Backend* const backend;
};

class PluginDataset : public Dataset {
 public:
  PluginDataset(std::shared_ptr<PluginHandle> handle, MB_Dataset* dataset)
      : handle_(std::move(handle)), dataset_(dataset) {}
  ~PluginDataset() override { handle_->api->dataset_destroy(dataset_); }

  const PluginHandle* handle() const { return handle_.get(); }
  MB_Dataset* get() const { return dataset_; }

 private:
  const std::shared_ptr<PluginHandle> handle_;
  MB_Dataset* const dataset_;
};

}  // namespace modelbatch

#endif  // MODELBATCH_PLUGIN_PLUGIN_HANDLE_H_
