// Initial values of a model's parameters: a function of its seed alone, the
// same on every backend and, to the bit, on every machine.
#ifndef MODELBATCH_MODEL_INITIALIZE_H_
#define MODELBATCH_MODEL_INITIALIZE_H_

#include <cstdint>

#include "modelbatch/model/layout.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// Parameter `index` of `layout`, float32, by its Initializer. Draws are
// Philox's, purpose kInitialize, op = index, step 0 and the element's number
// unless another is named; everything is computed in double with IEEE
// operations only and rounded to float at the end.
//
// - uniform: (2 u - 1) * bound in float, or min + (max - min) u, where u is the
//   draw's UniformFloat.
// - normal: mean + std z, z by Box and Muller (1958) from two draws each: of
//   elements 2k and 2k + 1, u = (draw(2k) + 1/2) / 2^32 gives the radius
//   sqrt(-2 ln u), draw(2k + 1) / 2^32 the turn, and the two get its cosine and
//   its sine. |z| < 6.77.
// - truncated normal: rejection from a uniform distribution over what of
//   [min, max] has any probability that 32 bits can tell. Try t of element e
//   takes words 2 (t mod 2) and 2 (t mod 2) + 1 of block e of step 1 + t / 2.
// - orthogonal: the rows (the columns, where there are more rows than columns;
//   of the matrix [shape[0], all else]) of a normal matrix, made orthonormal
//   one after the other by Gram and Schmidt's modified process, which is a
//   draw from Haar's measure (Mezzadri 2007), times gain. It takes 2 n n m
//   operations for n of them of m elements.
Tensor InitialValue(const Layout& layout, int index, uint64_t seed);

}  // namespace modelbatch

#endif  // MODELBATCH_MODEL_INITIALIZE_H_
