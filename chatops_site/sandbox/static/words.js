// The page's own words in both languages, and the one that is spoken now.

const LANGUAGES = ["zh-Hans", "en"];
const REMEMBERED = "sandbox.language";

const words = {
  sandbox: ["沙盒", "sandbox"],
  speak_as: ["发言人", "Speak as"],
  conversations: ["会话", "Conversations"],
  portal: ["门户", "Portal"],
  admin: ["管理后台", "Admin"],
  other_language: ["EN", "中文"],
  other_language_label: ["Switch this page to English", "本页切换为中文"],
  to_input: ["跳到输入框", "Skip to the message box"],
  private: ["私聊", "Private"],
  members: ["%(names)s 和机器人", "%(names)s and the bot"],
  unread: ["%(count)s 条新消息", "%(count)s new"],
  log: ["%(name)s 的消息", "Messages in %(name)s"],
  empty_title: ["还没有消息", "Nothing said here yet"],
  empty_text: [
    "输入 `/help` 看看能做什么，或点下面的一条命令，再按 Enter 发送。",
    "Type `/help` to see what you can do, or pick a command below and press Enter.",
  ],
  no_conversation: ["这个人不在任何会话里。", "This person is in no conversation."],
  suggestions: ["试试这些命令", "Commands to try"],
  try: ["试试", "Try"],
  message: ["消息", "Message"],
  placeholder: ["以 %(name)s 的身份说，如 /help", "Speak as %(name)s, e.g. /help"],
  send: ["发送", "Send"],
  keys: ["Enter 发送 · Shift+Enter 换行 · ↑ 上一条", "Enter sends · Shift+Enter new line · ↑ recalls"],
  newer: ["有新消息 ↓", "New messages ↓"],
  bot: ["机器人", "Bot"],
  you: ["你", "you"],
  in_reply: ["回复 %(name)s：%(text)s", "To %(name)s: %(text)s"],
  into_input: ["放入输入框：%(text)s", "Put into the message box: %(text)s"],
  earlier_lines: ["展开前面 %(count)s 行", "Show %(count)s earlier lines"],
  fewer_lines: ["只看最后 20 行", "Show the last 20 lines only"],
  sending: ["正在送达", "being delivered"],
  delivered: ["已送达", "delivered"],
  acknowledged: ["%(milliseconds)s ms 应答", "acknowledged in %(milliseconds)s ms"],
  acknowledged_next: ["应答", "acknowledged"],
  running: ["执行中", "running"],
  done: ["完成", "done"],
  delivered_dialled: ["经长连接送达", "delivered over the connection"],
  delivery: ["送达情况", "Delivery"],
  rejected: [
    "门户没有接受：HTTP %(status)s，%(milliseconds)s ms",
    "The portal did not accept it: HTTP %(status)s in %(milliseconds)s ms",
  ],
  unreachable: [
    "没有送达：门户没有应答。启动门户后再发一次。",
    "Not delivered: the portal did not answer. Start it, then send again.",
  ],
  rejected_dialled: [
    "门户没有接受：连接上的应答是 %(status)s，%(milliseconds)s ms",
    "The portal did not take it: it answered %(status)s over the connection in %(milliseconds)s ms",
  ],
  unreachable_dialled: [
    "没有送达：门户没有建立连接，或没有应答。连上后再发一次。",
    "Not delivered: the portal has no connection, or did not answer. Send it again once it is connected.",
  ],
  platforms: ["聊天平台", "Chat platforms"],
  platform_dingtalk: ["钉钉", "DingTalk"],
  platform_feishu: ["飞书", "Feishu"],
  platform_wecom: ["企业微信", "WeCom"],
  platform_wecom_aibot: ["企业微信机器人", "WeCom bot"],
  platform_slack: ["Slack", "Slack"],
  news: ["有新消息", "new messages"],
  mode: ["送达方式", "Messages go by"],
  mode_http: ["HTTP 回调", "HTTP callback"],
  mode_dialled: ["长连接", "outgoing connection"],
  mode_begins: ["正在让门户建立连接。", "The portal is being told to connect."],
  mode_ends: ["正在断开门户的连接。", "The portal's connection is being ended."],
  mode_stays: ["没有换成，还是原来的方式。", "Not changed: messages go the way they went before."],
  connections: ["已连接 · %(count)s 条连接", "connected · %(count)s up"],
  connection_connecting: ["正在连接", "connecting"],
  connection_awaited: ["还没有连接", "no connection yet"],
  connection_ended: ["没有连上", "not connected"],
  to_connect: ["在终端里运行：", "In a terminal, run "],
  ended: ["%(name)s 的连接进程结束了，最后一行是：", "What kept %(name)s connected has ended. Its last line: "],
  again: ["再试一次", "Try again"],
  updated: ["已更新", "updated"],
  updated_times: ["这条消息原地更新过 %(count)s 次", "Changed in place, times: %(count)s"],
  only_for: ["仅 %(name)s 可见", "only %(name)s sees this"],
  only_one: ["仅一人可见", "only one person sees this"],
  entered: ["%(name)s 打开了会话", "%(name)s opened the conversation"],
  passive_error: ["平台不接受门户在应答里给的消息：%(error)s", "The platform does not take what the portal answered: %(error)s"],
  buttons: ["可以点的按钮", "Buttons to press"],
  pressed: ["%(name)s 点了「%(label)s」", "%(name)s pressed “%(label)s”"],
  not_pressed: ["没有点成：沙盒返回 HTTP %(status)s。", "Not pressed: the sandbox answered HTTP %(status)s."],
  press_lost: ["没有点成：沙盒没有应答，请再点一次。", "Not pressed: the sandbox did not answer. Press it again."],
  not_sent: [
    "没有发出：沙盒没有应答。文字还在输入框里，请再发一次。",
    "Not sent: the sandbox did not answer. Your text is back in the box, send it again.",
  ],
  not_taken: [
    "没有发出：沙盒返回 HTTP %(status)s。文字还在输入框里。",
    "Not sent: the sandbox answered HTTP %(status)s. Your text is back in the box.",
  ],
  lost: ["与沙盒的连接断了，%(seconds)s 秒后重试。", "Connection to the sandbox lost, trying again in %(seconds)s s."],
  trying: ["与沙盒的连接断了，正在重试。", "Connection to the sandbox lost, trying again now."],
  back: ["已重新连接。", "Connected again."],
  loading: ["正在连接沙盒", "Connecting to the sandbox"],
  state: ["状态", "State"],
  state_running: ["状态，%(count)s 个构建在运行", "State, %(count)s builds running"],
  pane: ["幕后", "Behind the curtain"],
  close: ["关闭", "Close"],
  live: ["线上", "Live"],
  live_empty: ["还没有部署。试试 `/deploy myservice`", "Nothing is live yet. Try `/deploy myservice`"],
  pulls: ["合并请求", "Pull requests"],
  pulls_empty: ["没有合并请求。", "No pull requests."],
  forge: ["代码平台", "Forge"],
  moving: ["正在搬到 %(name)s。", "Moving to %(name)s."],
  moved: ["仓库现在在 %(name)s 上，合并请求都是新的。", "The repositories are at %(name)s now, and their pull requests are as new."],
  not_moved: ["没有搬到 %(name)s，仓库还在原处。", "Not moved to %(name)s: the repositories are where they were."],
  builds: ["Jenkins", "Jenkins"],
  builds_empty: ["还没有构建。试试 `/test 233`", "No builds yet. Try `/test 233`"],
  queued: ["排队", "queued"],
  ready: ["可合并", "ready"],
  blocked: ["未就绪", "not ready"],
  draft: ["草稿", "draft"],
  merged: ["已合并", "merged"],
  closed: ["已关闭", "closed"],
  approvals: ["审批 %(have)s/%(need)s", "approvals %(have)s/%(need)s"],
  tested: ["已测试", "tested"],
  untested: ["未测试", "not tested"],
  conflicts: ["有冲突", "conflicts"],
  check_passed: ["检查通过", "check passed"],
  check_failed: ["检查未通过", "check failed"],
  check_waiting: ["检查未完成", "check under way"],
  build_running: ["运行中", "running"],
  build_success: ["成功", "success"],
  build_failure: ["失败", "failed"],
  build_unstable: ["不稳定", "unstable"],
  build_aborted: ["已中止", "aborted"],
  build_not_built: ["未构建", "not built"],
  progress: ["%(name)s 进度", "Progress of %(name)s"],
};

function first() {
  const asked = new URLSearchParams(location.search).get("lang") || localStorage.getItem(REMEMBERED);
  if (LANGUAGES.includes(asked)) return asked;
  const wanted = asked || navigator.language || "";
  return wanted.toLowerCase().startsWith("zh") ? "zh-Hans" : "en";
}

export let language = first();

export function say(key, values = {}) {
  const text = words[key][LANGUAGES.indexOf(language)];
  return text.replace(/%\((\w+)\)s/g, (_, name) => String(values[name] ?? ""));
}

export function knows(key) {
  return key in words;
}

export function switchLanguage() {
  language = LANGUAGES.find((other) => other !== language);
  localStorage.setItem(REMEMBERED, language);
}

export function translate(root) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-word]")) node.textContent = say(node.dataset.word);
  for (const node of root.querySelectorAll("[data-word-label]")) {
    node.setAttribute("aria-label", say(node.dataset.wordLabel));
  }
}
