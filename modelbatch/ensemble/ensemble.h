// Several models' outputs for the same rows as one prediction, and how far the
// models agree.
//
//   MB_RETURN_IF_ERROR(batch->Predict(*dataset, rows, &outputs));
//   MB_ASSIGN_OR_RETURN(ClassificationEnsemble all,
//                       CombineClassifiers(outputs));
//   all.predicted.data<int64_t>()[row];
//
// Everything is computed in double. Model i has the weight w_i, normalised to a
// sum of 1; without weights all are equal. Outputs are float32 [rows, outputs],
// one tensor a model, of equal shapes. InvalidArgument names the model and what
// was expected: no models, another dtype or shape, a number that is not finite,
// a weight that is negative or not finite, weights that are all 0.
#ifndef MODELBATCH_ENSEMBLE_ENSEMBLE_H_
#define MODELBATCH_ENSEMBLE_ENSEMBLE_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "modelbatch/tensor/tensor.h"

namespace modelbatch {

// Entropies are in nats.
struct ClassificationEnsemble {
  // p = sum_i w_i p_i with p_i = softmax of model i's logits: the mixture of
  // Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty
  // Estimation using Deep Ensembles" (2017), section 2.4. float64 [rows,
  // classes].
  Tensor probabilities;
  // The class of the largest p; of equal ones the lowest. int64 [rows].
  Tensor predicted;
  // sqrt(sum_i w_i (p_i - p)^2). float64 [rows, classes].
  Tensor spread;
  // How many models have their largest logit there, whatever their weight. Of a
  // model's equal logits the lowest class has its vote. int64 [rows, classes].
  Tensor votes;
  // The class with most votes; of equal ones the lowest. int64 [rows].
  Tensor majority;
  // H(p) = -sum_c p_c log p_c: the uncertainty of the prediction. float64
  // [rows].
  Tensor entropy;
  // H(p) - sum_i w_i H(p_i): the part of it that is the models' disagreement;
  // 0 when all agree. Houlsby et al., "Bayesian Active Learning for
  // Classification and Preference Learning" (2011), equation 2. float64 [rows].
  Tensor mutual_information;
};

absl::StatusOr<ClassificationEnsemble> CombineClassifiers(
    absl::Span<const Tensor> logits, absl::Span<const double> weights = {});

// Each float64 [rows, outputs].
struct RegressionEnsemble {
  Tensor mean;    // m = sum_i w_i x_i
  Tensor spread;  // sqrt(sum_i w_i (x_i - m)^2), the standard deviation
  Tensor min;     // over the models, whatever their weight
  Tensor max;
};

absl::StatusOr<RegressionEnsemble> CombineRegressors(
    absl::Span<const Tensor> values, absl::Span<const double> weights = {});

// exp(x_c - max x) / sum_k exp(x_k - max x), which no logit overflows. logits:
// float32 [rows, classes]; gives float64 of that shape.
absl::StatusOr<Tensor> Softmax(const Tensor& logits);

}  // namespace modelbatch

#endif  // MODELBATCH_ENSEMBLE_ENSEMBLE_H_
