// What the page says, in English and Vietnamese; the English words are the keys.

const VIETNAMESE = {
  "Skip to the job": "Đến công việc",
  "API key": "Khóa API",
  "Key": "Khóa",
  "Kept in this tab only, until it is closed.": "Chỉ giữ trong thẻ này cho đến khi đóng.",
  "Use this key": "Dùng khóa này",
  "A key is in use.": "Đang dùng một khóa.",
  "Forget it": "Quên khóa",
  "New job": "Công việc mới",
  "Recording": "Bản ghi âm",
  "Language spoken": "Ngôn ngữ nói",
  "found out by itself": "tự nhận biết",
  "What to make": "Cần tạo gì",
  "Corrected text": "Văn bản đã chỉnh sửa",
  "Summary": "Tóm tắt",
  "Tell speakers apart": "Phân biệt người nói",
  "Form of the summary": "Mẫu tóm tắt",
  "Start": "Bắt đầu",
  "Upload": "Tải lên",
  "Stop the upload": "Dừng tải lên",
  "Jobs of this browser": "Công việc của trình duyệt này",
  "None yet.": "Chưa có.",
  "No job chosen": "Chưa chọn công việc",
  "Cancel the job": "Hủy công việc",
  "Transcript": "Bản ghi",
  "Text": "Văn bản",
  "corrected": "đã chỉnh sửa",
  "as heard": "như nghe được",
  "No words were heard.": "Không nghe thấy lời nào.",
  "Downloads": "Tải xuống",
  "Remove from the list": "Xóa khỏi danh sách",
  "Play from": "Phát từ",
  "waiting": "đang chờ",
  "preparing the audio": "đang chuẩn bị âm thanh",
  "listening": "đang nhận dạng",
  "writing": "đang soạn",
  "done": "xong",
  "failed": "thất bại",
  "cancelled": "đã hủy",
  "not found with this key": "không tìm thấy với khóa này",
  "The audio is being fetched.": "Đang tải âm thanh.",
  "The audio cannot be played here.": "Không phát được âm thanh ở đây.",
  "recording": "bản ghi âm",
  "processing": "xử lý",
  "The upload was stopped.": "Đã dừng tải lên.",
  "The gateway cannot be reached; trying again.": "Không kết nối được; đang thử lại.",
  "The gateway cannot be reached.": "Không kết nối được.",
  "Check the connection and try again.": "Kiểm tra kết nối rồi thử lại.",
  "This is no API key: it has 32 to 512 characters, no spaces.":
    "Đây không phải khóa API: cần 32 đến 512 ký tự, không có dấu cách.",
};

let tongue = localStorage.getItem("c500-tongue") === "vi" ? "vi" : "en";

/** The words in the language chosen. */
export function t(words) {
  return tongue === "vi" ? VIETNAMESE[words] ?? words : words;
}

/** Put all fixed texts of the page into the language chosen. */
export function translatePage() {
  document.documentElement.lang = tongue;
  for (const node of document.querySelectorAll("[data-t]")) {
    node.dataset.t ||= node.textContent.trim();
    node.textContent = t(node.dataset.t);
  }
  const button = document.getElementById("tongue");
  button.textContent = tongue === "vi" ? "English" : "Tiếng Việt";
  button.lang = tongue === "vi" ? "en" : "vi";
}

/** Change to the other language. */
export function switchTongue() {
  tongue = tongue === "vi" ? "en" : "vi";
  localStorage.setItem("c500-tongue", tongue);
  translatePage();
}
