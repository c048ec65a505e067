// Whose record the app is about (SMART App Launch, launch context parameter `patient`).
exports = user.getFirstAttribute("patient");
