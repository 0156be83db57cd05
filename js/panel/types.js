// @ts-check
/**
 * What the server sends, as planner/load_plan.py and planner/hardware.py write it. Types only.
 *
 * @typedef {object} PlannedFile
 * @property {"diffusion_model" | "text_encoder" | "vae" | "lora"} role
 * @property {string} name
 * @property {string} folder
 * @property {string} listed_name "" when the file is missing
 * @property {string} catalog_name "" for an unknown file
 * @property {string} weight_format
 * @property {number} size_bytes
 * @property {boolean} size_is_exact
 * @property {boolean} on_disk
 * @property {string} reason
 * @property {string} url
 * @property {string} licence
 *
 * @typedef {object} SamplerSettings
 * @property {number} steps
 * @property {number} cfg
 * @property {string} sampler_name
 * @property {string} scheduler
 * @property {number} shift
 * @property {number} cfg_norm 0 where the release uses none
 * @property {number} lora_strength 0 without a LoRA
 * @property {string} source
 *
 * The node's inputs by name, but for `release`, which is the input "model", and `vram_limit_bytes`.
 * @typedef {{release: string, vram_limit_bytes: number, download_missing: boolean}} LoadRequest
 *
 * @typedef {object} PlanWarning
 * @property {string} code
 * @property {string} message
 * @property {string} cure
 * @property {[input: string, value: string][]} changes the inputs, with the values, that cure it
 *
 * @typedef {object} StagePlan
 * @property {"encode" | "sample" | "decode"} stage
 * @property {string} device
 * @property {number} resident_bytes
 * @property {number} streamed_bytes
 * @property {number} activation_bytes
 * @property {number} peak_vram_bytes
 * @property {number} ram_bytes
 * @property {string} note
 *
 * @typedef {object} Hardware
 * @property {string} kind "cuda", "rocm", "xpu", "mps" or "cpu"
 * @property {string} device_name
 * @property {number} vram_total_bytes
 * @property {number} vram_free_bytes
 * @property {number} vram_reserved_bytes
 * @property {number} ram_total_bytes
 * @property {number} ram_available_bytes
 *
 * @typedef {object} LoadPlan
 * @property {LoadRequest} request
 * @property {Hardware} hardware
 * @property {string} error "" when the plan can be carried out
 * @property {[string, string][]} error_changes inputs to set back, and to what
 * @property {string} release
 * @property {string} recipe
 * @property {string} recipe_reason
 * @property {PlannedFile[]} files
 * @property {SamplerSettings | null} settings
 * @property {StagePlan[]} stages
 * @property {boolean} modulation_table
 * @property {string} modulation_reason
 * @property {string} text_encoder_device
 * @property {number} ram_needed_bytes
 * @property {boolean} rereads_from_disk
 * @property {number} width
 * @property {number} height
 * @property {PlanWarning[]} warnings
 * @property {{name: string, reason: string}[]} refusals
 * @property {number} missing_bytes
 *
 * @typedef {object} DownloadState
 * @property {boolean} running
 * @property {string} file
 * @property {number} index 1 for the first file
 * @property {number} count
 * @property {number} done_bytes of all files together
 * @property {number} total_bytes of all files together
 * @property {number} bytes_per_second
 * @property {number | null} seconds_left
 * @property {{message: string} | null} error
 * @property {boolean} finished
 * @property {boolean} cancelled
 * @property {string} note what happens instead of receiving bytes, or ""
 * @property {string[]} files the names of all files of this download
 *
 * @typedef {{folder: string, free_bytes: number, volume: string}} DiskSpace
 *
 * @typedef {object} PlanAnswer
 * @property {LoadPlan} plan
 * @property {string} text
 * @property {DiskSpace[]} disk
 * @property {DownloadState} download
 *
 * @typedef {{request: LoadRequest, peak_vram_bytes: number | null, seconds_per_step: number | null}} Measured
 *
 * @typedef {object} PanelState
 * @property {boolean} busy a plan is on its way
 * @property {string} failure why there is no plan, "" otherwise
 * @property {PlanAnswer | null} answer
 * @property {DownloadState | null} download
 * @property {Measured | null} measured
 * @property {string[]} linkedInputs inputs whose value comes from a link, so that the plan cannot know it
 *
 * @typedef {object} PanelActions
 * @property {() => void} refresh
 * @property {(files: string[]) => void} startDownload
 * @property {() => void} cancelDownload
 * @property {(changes: [input: string, value: string][]) => void} changeInputs in one step of undo
 * @property {(input: string) => string} inputValue
 * @property {(input: string) => boolean} canChangeInput
 * @property {(input: string) => string} inputLabel
 * @property {(key: string) => boolean} isOpen
 * @property {(key: string, open: boolean) => void} setOpen
 */

export {};
