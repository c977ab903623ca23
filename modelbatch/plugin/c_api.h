/* The boundary between ModelBatch and a backend: C11, no other header of ours.
 *
 * A backend is a shared library that exports one symbol,
 *
 *     const MB_PluginApi* MB_GetPluginApi(const MB_HostApi* host);
 *
 * which does no work: it returns a table that lives as long as the process.
 * `plugins/example` is the smallest complete one.
 *
 * Conventions
 *  - Every top-level struct begins with MB_Header. `struct_size` is the offset
 *    of its last field plus that field's size, without tail padding, so that a
 *    new trailing field is always visible. Structs grow at the end only; the
 *    callee requires no more than the size of 1.0 (MB_SIZE of the field with
 *    the mark "end of 1.0"; of a struct that came later, of that version) and
 *    reads a later field only when `struct_size` covers it (MB_HAS).
 *  - Structs that appear inside arrays or other structs (MB_Operator,
 *    MB_NamedValue, MB_Column, MB_Rows, MB_StateInfo, MB_TuneChoice, the MB_DL
 *    structs) have no header and are frozen per major version; what is new
 *    comes as a named value.
 *  - Both sides must have the same major version. Minor versions may differ,
 *    and both sides use the smaller one: the host calls no function that lies
 *    beyond the plugin's `struct_size` and expects nothing from a later field
 *    when the plugin's minor is smaller; a plugin reads no later field of an
 *    older host's struct, and returns no value that came after the minor in the
 *    header of the call's arguments.
 *  - Extensions of a kind that a side does not know are skipped.
 *  - A function takes one argument struct: inputs first, then the fields below
 *    the mark "out", which the callee fills on success. It returns NULL when
 *    all went well, else an error that the caller gives back with
 *    `error_destroy`. Pointers inside argument structs are borrowed for the
 *    call unless the field says otherwise.
 *  - A function of MB_PluginApi marked "required" is never NULL. Any other may
 *    be NULL: the plugin does not have that call at all.
 *  - UNIMPLEMENTED means that this operator, option or combination is not
 *    there; the message names it. Unknown options are refused, not ignored.
 *  - Error codes are those of absl::StatusCode. Strings are UTF-8 and end with
 *    a zero byte.
 *  - No C++ type, exception or flag crosses; a plugin catches everything.
 *  - One caller at a time per session; sessions may run concurrently.
 *  - Strings and tables that a plugin returns live as long as the object they
 *    came from (the process, for MB_PluginApi).
 */
#ifndef MODELBATCH_PLUGIN_C_API_H_
#define MODELBATCH_PLUGIN_C_API_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MB_ABI_MAJOR 1
#define MB_ABI_MINOR 1

/* Size of `type` up to and including `field`. */
#define MB_SIZE(type, field) \
  (offsetof(type, field) + sizeof(((const type*)0)->field))
/* Whether a struct received from the other side has `field`. */
#define MB_HAS(pointer, type, field) \
  ((pointer)->header.struct_size >= MB_SIZE(type, field))

typedef struct MB_Extension {
  size_t struct_size;
  uint32_t kind;
  const struct MB_Extension* next;
} MB_Extension;

typedef struct MB_Header {
  size_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  const MB_Extension* extensions; /* NULL: none */
} MB_Header;

/* ---- Errors ------------------------------------------------------------- */

typedef struct MB_Error MB_Error; /* made and destroyed by the plugin */

enum {
  MB_OK = 0,
  MB_CANCELLED = 1,
  MB_UNKNOWN = 2,
  MB_INVALID_ARGUMENT = 3,
  MB_DEADLINE_EXCEEDED = 4,
  MB_NOT_FOUND = 5,
  MB_ALREADY_EXISTS = 6,
  MB_PERMISSION_DENIED = 7,
  MB_RESOURCE_EXHAUSTED = 8,
  MB_FAILED_PRECONDITION = 9,
  MB_ABORTED = 10,
  MB_OUT_OF_RANGE = 11,
  MB_UNIMPLEMENTED = 12,
  MB_INTERNAL = 13,
  MB_UNAVAILABLE = 14,
  MB_DATA_LOSS = 15,
  MB_UNAUTHENTICATED = 16
};

/* ---- Tensors: DLPack 1.0, field for field ------------------------------- */

enum { MB_DL_CPU = 1, MB_DL_CUDA = 2, MB_DL_CUDA_HOST = 3 };
enum { MB_DL_INT = 0, MB_DL_UINT = 1, MB_DL_FLOAT = 2, MB_DL_BFLOAT = 4 };

typedef struct MB_DLPackVersion {
  uint32_t major;
  uint32_t minor;
} MB_DLPackVersion;

typedef struct MB_DLDevice {
  int32_t device_type;
  int32_t device_id;
} MB_DLDevice;

typedef struct MB_DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} MB_DLDataType;

typedef struct MB_DLTensor {
  void* data;
  MB_DLDevice device;
  int32_t ndim;
  MB_DLDataType dtype;
  int64_t* shape;
  int64_t* strides; /* in elements; NULL: row-major and compact */
  uint64_t byte_offset;
} MB_DLTensor;

typedef struct MB_DLManagedTensor {
  MB_DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(struct MB_DLManagedTensor* self); /* may be NULL */
  uint64_t flags;                                   /* bit 0: read-only */
  MB_DLTensor dl_tensor;
} MB_DLManagedTensor;

/* ---- Named values: attributes and options ------------------------------- */

enum {
  MB_VALUE_INT64 = 0,
  MB_VALUE_FLOAT64 = 1,
  MB_VALUE_BOOL = 2, /* in `i`: 0 or 1 */
  MB_VALUE_STRING = 3,
  MB_VALUE_INT64_LIST = 4,
  MB_VALUE_FLOAT64_LIST = 5,
  MB_VALUE_BYTES = 6 /* any bytes: a program, a table */
};

typedef struct MB_NamedValue {
  const char* name;
  int32_t type;
  int32_t reserved; /* 0 */
  int64_t i;
  double f;
  const char* s;
  const void* list; /* int64_t, double or uint8_t [list_size] */
  size_t list_size;
} MB_NamedValue;

/* ---- Models: a graph of named operators --------------------------------- */

/* `inputs` index values: -1 is the model's input, j >= 0 the output of
 * operator j, which comes earlier. The last operator's output is the model's.
 * Kinds, attributes and parameters: docs/operators.md.
 *
 * A model in a format of somebody else's is one operator of kind "program" with
 * the attributes "format" (string: "torchscript") and "program" (bytes); the
 * host learns its parameters and its output from `session_describe`. Feature
 * "programs". */
typedef struct MB_Operator {
  const char* name;
  const char* kind;
  const int32_t* inputs;
  size_t num_inputs;
  const MB_NamedValue* attributes;
  size_t num_attributes;
} MB_Operator;

typedef struct MB_Model {
  MB_Header header;
  int64_t id;    /* stable name of the model within its run, for messages */
  uint64_t seed; /* of everything random in this model's training */
  const int64_t* input_shape; /* without the rows dimension */
  size_t input_rank;
  const MB_Operator* operators;
  size_t num_operators; /* end of 1.0 */
} MB_Model;

/* ---- Host --------------------------------------------------------------- */

enum { MB_LOG_INFO = 0, MB_LOG_WARNING = 1, MB_LOG_ERROR = 2 };

typedef struct MB_HostApi {
  MB_Header header;
  const char* host_version; /* of ModelBatch */
  const char* plugin_path;  /* where this plugin was loaded from */
  void* log_context;
  /* May be called from any thread; copies the message. */
  void (*log)(void* log_context, int32_t severity,
              const char* message); /* end of 1.0 */
} MB_HostApi;

/* ---- Calls -------------------------------------------------------------- */

typedef struct MB_Backend MB_Backend;
typedef struct MB_Session MB_Session;
typedef struct MB_Dataset MB_Dataset;

typedef struct MB_ProbeArgs {
  MB_Header header;
  /* out */
  int32_t score;      /* 0: cannot run here; among others, the highest wins */
  const char* device; /* "2 threads, AVX2 and FMA", or the device's name */
  const char* reason; /* why the score is what it is; never NULL; end of 1.0 */
} MB_ProbeArgs;

typedef struct MB_BackendCreateArgs {
  MB_Header header;
  const MB_NamedValue* options; /* "threads": int64, 0 chooses; "device": ... */
  size_t num_options;
  /* out */
  MB_Backend* backend; /* end of 1.0 */
} MB_BackendCreateArgs;

/* What the backend has for sure: whatever is listed works, in every
 * combination that docs/plugin-abi.md does not exclude. */
typedef struct MB_CapabilitiesArgs {
  MB_Header header;
  MB_Backend* backend;
  /* out: each list NULL-terminated */
  const char* const* operators;  /* "linear", ... */
  const char* const* losses;     /* "cross_entropy", ... */
  const char* const* optimizers; /* "adam", ... */
  const char* const* precisions; /* "fp32", ... */
  const char* const* features;   /* "bitwise_independence", "mixed_widths",
                                    "ragged_rows", "gradients" (the calls
                                    session_backward, session_update and
                                    session_zero_grad, MB_STEP_ACCUMULATE and
                                    MB_FORWARD_TRAINING),
                                    "gradient_clipping" (the columns
                                    gradient_scale, clip_value, clip_norm),
                                    "tuning" (session_tune), "programs"
                                    (MB_Operator), "train_steps"
                                    (session_train_steps); end of 1.0 */
} MB_CapabilitiesArgs;

/* At least one model. Targets of a dataset and the rows of a step are checked
 * against the loss and `max_rows`. All models have the same operators and
 * edges; numbers may differ where the feature "mixed_widths" is there.
 * Parameters start as zeros until written with `session_write_state`. */
typedef struct MB_SessionCompileArgs {
  MB_Header header;
  MB_Backend* backend;
  const MB_Model* const* models;
  size_t num_models;
  const char* loss;
  const MB_NamedValue* loss_attributes;
  size_t num_loss_attributes;
  int64_t max_rows;             /* most rows of one model in one step */
  const MB_NamedValue* options; /* "precision": string */
  size_t num_options;
  /* out */
  MB_Session* session; /* end of 1.0 */
} MB_SessionCompileArgs;

/* Allocates the optimizer's state, zeroed, and sets every step counter to 0.
 * "none" releases it. */
typedef struct MB_OptimizerArgs {
  MB_Header header;
  MB_Session* session;
  const char* optimizer; /* end of 1.0 */
} MB_OptimizerArgs;

/* Reads or writes one tensor of one model. `slot`: "param", "grad" (read only;
 * while gradients are kept), a state of the optimizer
 * ("momentum_buffer", "exp_avg", "exp_avg_sq"), or "step" (the model's count
 * of updates: int64, shape [], `parameter` NULL). A state that is one number a
 * model (nadam's "mu_product") has shape [], `parameter` NULL. `tensor` is the
 * caller's own row-major memory on the CPU with the state's dtype and shape:
 * `session_describe` lists them. */
typedef struct MB_StateArgs {
  MB_Header header;
  MB_Session* session;
  size_t model;
  const char* slot;
  const char* parameter; /* "0.weight" */
  MB_DLTensor* tensor;   /* end of 1.0 */
} MB_StateArgs;

/* One tensor of a model's state. */
typedef struct MB_StateInfo {
  const char* slot;
  const char* parameter; /* NULL: belongs to none */
  MB_DLDataType dtype;
  uint32_t reserved; /* 0 */
  const int64_t* shape;
  size_t rank;
} MB_StateInfo;

/* What one model of a session holds and gives. A plugin with the feature
 * "programs" has this call; in others it is not required, and for models of
 * operators the host finds out whether both sides mean the same layout. */
typedef struct MB_DescribeArgs {
  MB_Header header;
  MB_Session* session;
  size_t model;
  /* out, until the session's next session_describe */
  const MB_StateInfo* states; /* what a checkpoint needs: all but "grad" */
  size_t num_states;
  const int64_t* output_shape; /* without the rows dimension; float32 */
  size_t output_rank;          /* end of 1.0 */
} MB_DescribeArgs;

/* The backend takes both tensors, also when the call fails, and calls their
 * deleters when it no longer reads them: at once if it copies, with the
 * dataset if it borrows. features [rows, ...] float32; targets [rows] int64
 * (class indices) or [rows, ...] float32; targets may be NULL. A dataset may be
 * shared by the sessions of its backend and is destroyed when no call uses it
 * any more. */
typedef struct MB_DatasetCreateArgs {
  MB_Header header;
  MB_Backend* backend;
  MB_DLManagedTensor* features;
  MB_DLManagedTensor* targets;
  /* out */
  MB_Dataset* dataset; /* end of 1.0 */
} MB_DatasetCreateArgs;

/* Which rows of a dataset each model sees. With `offsets` NULL all models see
 * rows[0, num_rows); else model i sees rows[offsets[i], offsets[i + 1]), and
 * offsets has num_models + 1 entries that do not decrease, from 0 to
 * num_rows. Order matters: it is the order of the batch. */
typedef struct MB_Rows {
  const int32_t* rows;
  size_t num_rows;
  const int64_t* offsets;
} MB_Rows;

/* One hyper-parameter for all models: values[num_models]. The names are those
 * of torch.optim: lr, momentum, dampening, nesterov (0 or 1), weight_decay,
 * beta1, beta2, eps, ... A column an optimizer needs and does not find is an
 * error, and so is one that it does not know. The flags amsgrad (adam, adamw)
 * and maximize are not needed: 0 where they are absent; the host sends them
 * where some model has 1.
 *
 * Every optimizer of a backend with the feature "gradient_clipping" also takes
 * these, which change a model's gradient before its update, in this order:
 *   gradient_scale  g = scale g (default 1)
 *   clip_value      g = min(max(g, -value), value); infinity: not
 *   clip_norm       g = min(1, max / (norm + 1e-6)) g, norm over all of the
 *                   model's parameters; infinity: not */
typedef struct MB_Column {
  const char* name;
  const double* values;
} MB_Column;

/* Gradients that are kept stay, readable as slot "grad", until a step that
 * keeps none, or session_zero_grad. */
enum {
  MB_STEP_KEEP_GRADIENTS = 1, /* in place of those kept before */
  MB_STEP_NO_UPDATE = 2,      /* loss and gradients only; nothing changes */
  MB_STEP_ACCUMULATE = 4      /* only with both others: adds to those kept */
};

/* What became of a model in a step. */
enum {
  MB_MODEL_STEPPED = 0,
  MB_MODEL_INACTIVE = 1,           /* not asked to */
  MB_MODEL_EMPTY = 2,              /* no row counts: no update, no count */
  MB_MODEL_NON_FINITE_LOSS = 3,    /* nothing of this model was changed */
  MB_MODEL_NON_FINITE_GRADIENT = 4 /* nothing of this model was changed */
};

/* Forward, loss (mean over the model's rows, each by its weight), backward,
 * update, for every model of `active`. Rows that the loss ignores do not count;
 * where none counts the outcome is MB_MODEL_EMPTY. */
typedef struct MB_TrainStepArgs {
  MB_Header header;
  MB_Session* session;
  MB_Dataset* dataset;
  MB_Rows rows;
  const MB_Column* columns;
  size_t num_columns;
  const uint8_t* active; /* [num_models], NULL: all */
  uint32_t flags;
  uint32_t reserved; /* 0 */
  /* out: arrays of the caller, [num_models] */
  float* losses;     /* before the update; 0 where there was none */
  uint8_t* outcomes; /* end of 1.0 */
} MB_TrainStepArgs;

/* As num_steps calls of session_train_step without flags, one after the other,
 * but for this: a model that has rows in a step and is not updated in it (its
 * loss or gradient is not finite, or none of its rows counts) takes no further
 * part in the call, as its caller may want to act. In the steps that follow it
 * is MB_MODEL_INACTIVE, with loss 0.
 *
 * An error ends the call. The first `num_made` steps were made all the same,
 * and their losses and outcomes are there; what was refused for its arguments
 * alone may have been found before the first. Since 1.1. */
typedef struct MB_TrainStepsArgs {
  MB_Header header;
  MB_Session* session;
  MB_Dataset* dataset;
  const MB_Rows* rows;      /* [num_steps] */
  size_t num_steps;         /* at least 1 */
  const MB_Column* columns; /* values[num_steps * num_models], by step */
  size_t num_columns;
  const uint8_t* active; /* [num_models], NULL: all; in every step */
  /* out: arrays of the caller, [num_steps * num_models], by step */
  float* losses;
  uint8_t* outcomes;
  size_t num_made; /* also by a call that fails; end of 1.1 */
} MB_TrainStepsArgs;

/* Loss (mean over rows, each by its weight) and, for class targets, the number
 * of rows whose largest output (the first of equals) is the target's, in
 * evaluation mode; any number of rows. Rows that the loss ignores count in
 * neither: an accuracy is `correct` by the number of the others. */
typedef struct MB_EvaluateArgs {
  MB_Header header;
  MB_Session* session;
  MB_Dataset* dataset;
  MB_Rows rows;
  const uint8_t* active; /* [num_models], NULL: all */
  /* out: arrays of the caller, [num_models] */
  double* losses;   /* 0 where no row counts */
  int64_t* correct; /* -1 where targets are no classes; end of 1.0 */
} MB_EvaluateArgs;

enum {
  /* Outputs as the next step's forward pass has them, with its dropout masks;
   * at most max_rows rows. Default: evaluation mode, any number of rows. */
  MB_FORWARD_TRAINING = 1
};

/* Model i's output, row-major [rows of i, output shape of i], goes to outputs +
 * output_offsets[i]. */
typedef struct MB_ForwardArgs {
  MB_Header header;
  MB_Session* session;
  MB_Dataset* dataset;
  MB_Rows rows;
  const int64_t* output_offsets; /* [num_models], in floats */
  size_t num_outputs;            /* floats in `outputs` */
  uint32_t flags;
  uint32_t reserved; /* 0 */
  /* out: an array of the caller */
  float* outputs; /* end of 1.0 */
} MB_ForwardArgs;

/* The forward pass in training mode, then the backward pass from the caller's
 * gradient of each model's loss by its outputs; adds to the gradients kept. A
 * model without rows, or with a gradient that is not finite, adds nothing. */
typedef struct MB_BackwardArgs {
  MB_Header header;
  MB_Session* session;
  MB_Dataset* dataset;
  MB_Rows rows;          /* at most max_rows a model */
  const uint8_t* active; /* [num_models], NULL: all */
  /* [num_models]: row-major [rows of i, output shape of i], and how many floats
   * that is. Not looked at for inactive models. */
  const float* const* output_gradients;
  const size_t* output_gradient_sizes;
  /* out: an array of the caller, [num_models] */
  uint8_t* outcomes; /* end of 1.0 */
} MB_BackwardArgs;

/* One update from the gradients kept, which stay (clipped, if so asked). A
 * model to whose gradients nothing was added since they were last zeroed is
 * MB_MODEL_EMPTY; one for which any step or backward since then
 * reported MB_MODEL_NON_FINITE_*, or whose sum is not finite, is reported so.
 * Neither is updated. FAILED_PRECONDITION when no gradients are kept. */
typedef struct MB_UpdateArgs {
  MB_Header header;
  MB_Session* session;
  const MB_Column* columns;
  size_t num_columns;
  const uint8_t* active; /* [num_models], NULL: all */
  /* out: an array of the caller, [num_models] */
  uint8_t* outcomes; /* end of 1.0 */
} MB_UpdateArgs;

/* Zeroes the gradients kept, or, with `release`, gives their memory back. */
typedef struct MB_ZeroGradArgs {
  MB_Header header;
  MB_Session* session;
  uint32_t release;  /* 0 or 1 */
  uint32_t reserved; /* 0; end of 1.0 */
} MB_ZeroGradArgs;

typedef struct MB_SessionStatsArgs {
  MB_Header header;
  MB_Session* session;
  /* out */
  int64_t state_bytes;     /* parameters, moments, gradients kept */
  int64_t workspace_bytes; /* everything else the session holds */
  const char* plan; /* how it will run, one operation a line, for people; end
                       of 1.0 */
} MB_SessionStatsArgs;

/* What a session runs one kind of operation with. */
typedef struct MB_TuneChoice {
  const char* operation;  /* for people: "forward 64 x 10 x 128" */
  const char* choice;     /* for people: "tiles 6 x 16, packed" */
  const char* origin;     /* "measured" in this call; "cached": earlier, in this
                             process or in the file; "default": not measured */
  int64_t uses;           /* operations of the session that run it */
  int64_t candidates;     /* how many choices were measured */
  double default_seconds; /* of one run with the default; 0: not measured */
  double seconds;         /* of one run with the choice; 0: not measured */
} MB_TuneChoice;

/* Measures on this machine which of several ways to run the session is fastest,
 * and takes it from here on. Results do not depend on the choice where the
 * feature "bitwise_independence" is there. May be called between any two
 * steps, also again. An error changes nothing. */
typedef struct MB_TuneArgs {
  MB_Header header;
  MB_Session* session;
  const MB_NamedValue* options; /* "time_ms": int64, about how long it may
                                   measure, 0: only what is cached; "cache":
                                   string, a file to read, if it is there, and
                                   to write with what was measured; "": none */
  size_t num_options;
  /* out, until the session's next session_tune */
  const MB_TuneChoice* choices;
  size_t num_choices;
  const char* notes; /* for people, a line each: what became of the file; never
                        NULL */
  double seconds;    /* what the call took; end of 1.0 */
} MB_TuneArgs;

/* ---- The table ---------------------------------------------------------- */

typedef struct MB_PluginApi {
  MB_Header header;
  const char* name;      /* "cpu": what a config says */
  const char* version;   /* of the plugin */
  const char* build_id;  /* changes with every build that may change a bit */
  const char* sanitizer; /* "", "address", "thread", ... */

  /* required */
  int32_t (*error_code)(const MB_Error* error);
  const char* (*error_message)(const MB_Error* error);
  void (*error_destroy)(MB_Error* error);
  MB_Error* (*plugin_probe)(MB_ProbeArgs* args);
  MB_Error* (*backend_create)(MB_BackendCreateArgs* args);
  void (*backend_destroy)(MB_Backend* backend);
  MB_Error* (*backend_capabilities)(MB_CapabilitiesArgs* args);
  MB_Error* (*session_compile)(MB_SessionCompileArgs* args);
  void (*session_destroy)(MB_Session* session);
  MB_Error* (*session_set_optimizer)(MB_OptimizerArgs* args);
  MB_Error* (*session_read_state)(MB_StateArgs* args);
  MB_Error* (*session_write_state)(MB_StateArgs* args);
  MB_Error* (*dataset_create)(MB_DatasetCreateArgs* args);
  void (*dataset_destroy)(MB_Dataset* dataset);
  MB_Error* (*session_train_step)(MB_TrainStepArgs* args);
  MB_Error* (*session_evaluate)(MB_EvaluateArgs* args);
  MB_Error* (*session_forward)(MB_ForwardArgs* args);
  /* not required */
  MB_Error* (*session_describe)(MB_DescribeArgs* args);
  MB_Error* (*session_stats)(MB_SessionStatsArgs* args);
  MB_Error* (*session_backward)(MB_BackwardArgs* args);
  MB_Error* (*session_update)(MB_UpdateArgs* args);
  MB_Error* (*session_zero_grad)(MB_ZeroGradArgs* args);
  MB_Error* (*session_tune)(MB_TuneArgs* args);              /* end of 1.0 */
  MB_Error* (*session_train_steps)(MB_TrainStepsArgs* args); /* end of 1.1 */
} MB_PluginApi;

typedef const MB_PluginApi* (*MB_GetPluginApiFunction)(const MB_HostApi* host);

#define MB_GET_PLUGIN_API_SYMBOL "MB_GetPluginApi"

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* MODELBATCH_PLUGIN_C_API_H_ */
