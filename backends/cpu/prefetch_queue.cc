#include "backends/cpu/prefetch_queue.h"

namespace modelbatch::cpu {

void PrefetchQueue::Clear() {
  pieces_.clear();
  needs_ = 0;
  current_ = -1;
  at_ = end_ = nullptr;
  piece_ = limit_ = nullptr;
  reached_ = 0;
}

void PrefetchQueue::Begin() { ++needs_; }

void PrefetchQueue::Add(const float* data, int64_t floats) {
  if (data == nullptr || floats <= 0) return;
  const char* const begin = reinterpret_cast<const char*>(data);
  const char* const end = reinterpret_cast<const char*>(data + floats);
  const int64_t start =
      pieces_.empty()
          ? 0
          : pieces_.back().start + (pieces_.back().end - pieces_.back().begin);
  pieces_.push_back({begin, end, needs_ - 1, start});
}

void PrefetchQueue::Advance() {
  ++current_;
  const Piece* const end = pieces_.data() + pieces_.size();
  while (reached_ < pieces_.size() && pieces_[reached_].need <= current_) {
    ++reached_;
  }
  const Piece* const reached = pieces_.data() + reached_;
  if (piece_ == nullptr) piece_ = limit_ = pieces_.data();
  if (piece_ <= reached) {  // the piece in progress is needed already
    at_ = end_;
    piece_ = reached;
  }
  if (limit_ < reached) limit_ = reached;
  while (limit_ < end && limit_->start < reached->start + kAhead) ++limit_;
}

}  // namespace modelbatch::cpu
