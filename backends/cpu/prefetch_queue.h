// Memory that a model's step is about to touch, in the order of need. Products
// ask for it on their way (GemmArgs::prefetch), so that it has come from the
// outer caches by then. No result depends on it.
//
//   queue.Clear();
//   queue.Begin();               // what the first operation reads
//   queue.Add(weights, 4096);
//   ...
//   queue.Advance();             // the first operation begins
//
// Not thread-safe.
#ifndef BACKENDS_CPU_PREFETCH_QUEUE_H_
#define BACKENDS_CPU_PREFETCH_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace modelbatch::cpu {

class PrefetchQueue {
 public:
  static constexpr int64_t kLine = 64;  // bytes
  // How far ahead memory is asked for: a part of the smallest second-level
  // caches, in which it must last until it is needed.
  static constexpr int64_t kAhead = 128 * 1024;

  void Clear();
  // Begins a need, to which Add adds memory.
  void Begin();
  void Add(const float* data, int64_t floats);
  // The first need that has not begun begins: its memory is not asked for any
  // more, that of those up to kAhead bytes after it may be.
  void Advance();

  struct Lines {
    const char* first;
    int64_t count;
  };
  // The next lines to ask for, at most `most`; none: nothing for now. (Always
  // inline: compiled with the kernels, it must not become the copy that others
  // call.)
  inline __attribute__((always_inline)) Lines NextLines(int64_t most) {
    if (at_ >= end_) {
      if (piece_ >= limit_) return {nullptr, 0};
      at_ = piece_->begin;
      end_ = piece_->end;
      ++piece_;
    }
    const int64_t left = (end_ - at_ + kLine - 1) / kLine;
    const Lines lines = {at_, left < most ? left : most};
    at_ += lines.count * kLine;
    return lines;
  }

 private:
  struct Piece {
    const char* begin;
    const char* end;
    int need;
    int64_t start;  // bytes of all pieces before it
  };

  std::vector<Piece> pieces_;
  int needs_ = 0;
  size_t reached_ = 0;                         // pieces whose needs have begun
  int current_ = -1;                           // the need that has begun
  const char *at_ = nullptr, *end_ = nullptr;  // of the piece in progress
  const Piece *piece_ = nullptr, *limit_ = nullptr;  // those to come
};

}  // namespace modelbatch::cpu

#endif  // BACKENDS_CPU_PREFETCH_QUEUE_H_
