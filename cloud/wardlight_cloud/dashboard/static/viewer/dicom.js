// Reads DICOM JSON (PS3.18, annex F): attributes by keyword, names and dates as people read them.
// What is absent is undefined or an empty list, never zero.

const TAGS = {
  AcquisitionDateTime: "0008002A", AvailableTransferSyntaxUID: "00083002", TimezoneOffsetFromUTC: "00080201", ContentDate: "00080023", ContentTime: "00080033",
  ActualFrameDuration: "00181242", AnatomicalOrientationType: "00102210", BitsAllocated: "00280100", BitsStored: "00280101",
  ChannelBaseline: "003A0213", ChannelDefinitionSequence: "003A0200", ChannelLabel: "003A0203",
  ChannelSensitivity: "003A0210", ChannelSensitivityCorrectionFactor: "003A0212",
  ChannelSensitivityUnitsSequence: "003A0211", ChannelSourceModifiersSequence: "003A0209", ChannelSourceSequence: "003A0208",
  CineRate: "00180040", CodeMeaning: "00080104", CodeValue: "00080100",
  CodingSchemeDesignator: "00080102", Columns: "00280011", CompletionFlag: "0040A491",
  ConceptCodeSequence: "0040A168",
  ContentCreatorName: "00700084", ContentDescription: "00700081", ContentLabel: "00700080",
  ConceptNameCodeSequence: "0040A043", ContentSequence: "0040A730", Date: "0040A121",
  DateTime: "0040A120", DisplayedAreaSelectionSequence: "0070005A", DocumentTitle: "00420010", EncapsulatedDocument: "00420011",
  EncapsulatedDocumentLength: "00420015", EstimatedRadiographicMagnificationFactor: "00181114",
  FilterHighFrequency: "003A0221", FilterLowFrequency: "003A0220", FrameTime: "00181063",
  FrameTimeVector: "00181065", FrameVOILUTSequence: "00289132", GraphicAnnotationSequence: "00700001", HighBit: "00280102",
  ImageType: "00080008", MultienergyCTAcquisition: "00189361", NumericValueQualifierCodeSequence: "0040A301",
  ReferencedContentItemIdentifier: "0040DB73", PredecessorDocumentsSequence: "0040A360",
  ImageHorizontalFlip: "00700041", ImageRotation: "00700042", MaskSubtractionSequence: "00286100",
  ImageOrientationPatient: "00200037", ImagePositionPatient: "00200032",
  ImagerPixelSpacing: "00181164", InstanceNumber: "00200013", InstitutionName: "00080080",
  LUTData: "00283006", LUTDescriptor: "00283002", LossyImageCompression: "00282110", LossyImageCompressionMethod: "00282114",
  LossyImageCompressionRatio: "00282112", MIMETypeOfEncapsulatedDocument: "00420012",
  MeasuredValueSequence: "0040A300", MeasurementUnitsCodeSequence: "004008EA",
  Modality: "00080060", ModalityLUTSequence: "00283000", MultiplexGroupLabel: "003A0020",
  NominalScannedPixelSpacing: "00182010", NotchFilterFrequency: "003A0222",
  NumberOfFrames: "00280008", NumberOfSeriesRelatedInstances: "00201209",
  NumberOfWaveformChannels: "003A0005", NumberOfWaveformSamples: "003A0010",
  NumericValue: "0040A30A", PatientBirthDate: "00100030", PatientID: "00100020",
  PatientName: "00100010", PatientOrientation: "00200020", PatientSex: "00100040",
  PerFrameFunctionalGroupsSequence: "52009230", PersonName: "0040A123",
  PhotometricInterpretation: "00280004", PhysicalDeltaX: "0018602C", PhysicalDeltaY: "0018602E",
  PhysicalUnitsXDirection: "00186024", PhysicalUnitsYDirection: "00186026",
  PixelAspectRatio: "00280034", PixelData: "7FE00010", PixelMeasuresSequence: "00289110",
  PixelPaddingRangeLimit: "00280121", PixelPaddingValue: "00280120",
  PixelRepresentation: "00280103", PixelSpacing: "00280030",
  PixelSpacingCalibrationDescription: "00280A04", PixelSpacingCalibrationType: "00280A02",
  PixelValueTransformationSequence: "00289145", PlaneOrientationSequence: "00209116",
  PlanePositionSequence: "00209113", PreliminaryFlag: "0040A496", PresentationLUTShape: "20500020", RecommendedDisplayFrameRate: "00082144",
  PresentationLUTSequence: "20500010", ReferencedImageSequence: "00081140", ReferencedSeriesSequence: "00081115",
  ReferencedFrameNumber: "00081160", ReferencedSOPInstanceUID: "00081155", ReferencedSOPSequence: "00081199",
  RegionLocationMaxX1: "0018601C", RegionLocationMaxY1: "0018601E",
  RegionLocationMinX0: "00186018", RegionLocationMinY0: "0018601A",
  RegionSpatialFormat: "00186012", RelationshipType: "0040A010", RescaleIntercept: "00281052",
  RescaleSlope: "00281053", RescaleType: "00281054", Rows: "00280010", SOPClassUID: "00080016",
  SOPInstanceUID: "00080018", SamplesPerPixel: "00280002", SamplingFrequency: "003A001A",
  SequenceOfUltrasoundRegions: "00186011", SeriesDescription: "0008103E",
  SeriesInstanceUID: "0020000E", SeriesNumber: "00200011",
  SharedFunctionalGroupsSequence: "52009229", SliceLocation: "00201041",
  SliceThickness: "00180050", StudyDate: "00080020", StudyDescription: "00081030",
  SoftcopyVOILUTSequence: "00283110",
  SpecificCharacterSet: "00080005", StudyTime: "00080030", TextValue: "0040A160", Time: "0040A122",
  UID: "0040A124", VOILUTFunction: "00281056",
  VOILUTSequence: "00283010", ValueType: "0040A040", VerificationFlag: "0040A493", WaveformBitsAllocated: "54001004",
  WaveformData: "54001010", WaveformOriginality: "003A0004", WaveformPaddingValue: "5400100A",
  WaveformSampleInterpretation: "54001006", WaveformSequence: "54000100",
  WindowCenter: "00281050", WindowCenterWidthExplanation: "00281055", WindowWidth: "00281051",
};

// The macros of enhanced multi-frame objects that hold what a plain image says at its top.
const MACROS = [
  "PixelMeasuresSequence", "PlaneOrientationSequence", "PlanePositionSequence",
  "FrameVOILUTSequence", "PixelValueTransformationSequence",
];

const MOST_FRAMES = 100_000;

export function element(dataset, keyword) {
  return dataset[TAGS[keyword]];
}

export function values(dataset, keyword) {
  return element(dataset, keyword)?.Value ?? [];
}

export function value(dataset, keyword) {
  return values(dataset, keyword)[0];
}

// DS and IS may come as text: PS3.18, F.2.3.
export function numbers(dataset, keyword) {
  return values(dataset, keyword).map((found) => Number(found));
}

export function number(dataset, keyword) {
  const found = value(dataset, keyword);
  if (found === undefined || found === null || found === "") return undefined;
  return Number.isFinite(Number(found)) ? Number(found) : undefined;
}

export function text(dataset, keyword) {
  const found = value(dataset, keyword);
  return found === undefined || found === null ? "" : String(found).trim();
}

export function items(dataset, keyword) {
  return values(dataset, keyword).filter((item) => item !== null);
}

export function code(dataset, keyword) {
  const item = items(dataset, keyword)[0];
  return item ? text(item, "CodeMeaning") || text(item, "CodeValue") : "";
}

// "Family, Given Middle"; the ideographic group beside it where there is one.
export function personName(found) {
  if (!found) return "";
  const groups = ["Alphabetic", "Ideographic"].map((group) => found[group]).filter(Boolean);
  return groups.map((group) => {
    const [family = "", given = "", middle = "", prefix = "", suffix = ""] = group.split("^");
    const rest = [prefix, given, middle, suffix].filter(Boolean).join(" ");
    return [family, rest].filter(Boolean).join(", ");
  }).join(" = ");
}

export function dateText(da) {
  const parts = /^(\d{4})\.?(\d{2})\.?(\d{2})$/.exec(da);
  return parts ? `${parts[1]}-${parts[2]}-${parts[3]}` : da;
}

export function timeText(tm) {
  const parts = /^(\d{2}):?(\d{2})/.exec(tm);
  return parts ? `${parts[1]}:${parts[2]}` : tm;
}

// The zone of an object's times in words; most objects do not say theirs.
export function zoneText(dataset) {
  const parts = /^([+-]\d{2})(\d{2})$/.exec(text(dataset, "TimezoneOffsetFromUTC"));
  return parts ? `UTC${parts[1]}:${parts[2]}` : "device time";
}

// A DA and a TM of an object, the time with its zone: "2026-01-31 10:15 UTC+05:00"; "" without a date.
export function momentText(dataset, date, time) {
  const clock = timeText(text(dataset, time));
  return text(dataset, date) && [dateText(text(dataset, date)), clock, clock && zoneText(dataset)].filter(Boolean).join(" ");
}

// A DT with what it holds of its time and, in words, its zone (PS3.5, 6.2).
export function dateTimeText(dt) {
  const parts = /^(\d{8})(\d{4})?(\d{2})?(?:\.\d{1,6})?([+-]\d{4})?$/.exec(dt);
  if (!parts) return dt;
  const [, date, minutes, seconds, zone] = parts;
  const time = minutes ? ` ${timeText(minutes)}${seconds ? `:${seconds}` : ""}` : "";
  return `${dateText(date)}${time}${zone ? ` (UTC${zone})` : ""}`;
}

// The scout view of a CT: a projection, whatever the modality's other images are (PS3.3, C.8.2.1.1.1).
export function isLocalizer(dataset) {
  return text(dataset, "Modality") === "CT" && values(dataset, "ImageType")[2] === "LOCALIZER";
}

// At least one; no more than a page can list, whatever number an object claims.
export function frameCount(dataset) {
  const said = Math.trunc(number(dataset, "NumberOfFrames") ?? 1);
  return Math.min(MOST_FRAMES, Math.max(1, said));
}

// A frame's own view of its instance: attributes of the functional groups laid over the top ones.
export function frameDataset(dataset, frame) {
  const shared = items(dataset, "SharedFunctionalGroupsSequence")[0];
  const own = items(dataset, "PerFrameFunctionalGroupsSequence")[frame - 1];
  if (!shared && !own) return dataset;
  const groups = [shared, own].filter(Boolean)
    .flatMap((group) => MACROS.flatMap((macro) => items(group, macro)));
  return Object.assign({}, dataset, ...groups);
}

export function kindOf(dataset) {
  if (element(dataset, "WaveformSequence")) return "waveform";
  if (element(dataset, "EncapsulatedDocument") || element(dataset, "MIMETypeOfEncapsulatedDocument")) {
    return "document";
  }
  if (number(dataset, "Rows") && number(dataset, "Columns")) return "image";
  return element(dataset, "ContentSequence") ? "report" : "other";
}

// "lossy 12:1", or "" for what was never compressed with loss (PS3.3, C.7.6.1.1.5). Each compression
// with loss has added its own ratio.
export function lossyText(dataset) {
  if (text(dataset, "LossyImageCompression") !== "01") return "";
  const ratios = numbers(dataset, "LossyImageCompressionRatio").filter((ratio) => ratio > 0);
  if (!ratios.length) return "lossy, ratio unknown";
  const shown = ratios.map((ratio) => `${ratio >= 10 ? Math.round(ratio) : Number(ratio.toFixed(1))}:1`);
  return `lossy ${shown.join(", then ")}`;
}
