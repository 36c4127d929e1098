"""Chat messages as prompts in each member's own template, encoded so that no text becomes a control token."""

from coolfusion.chat.ends import chat_end_ids
from coolfusion.chat.messages import Chat, as_chats, as_messages, as_options, as_tools
from coolfusion.chat.rendering import ChatPrompt, chat_prompt

__all__ = ["Chat", "ChatPrompt", "as_chats", "as_messages", "as_options", "as_tools", "chat_end_ids", "chat_prompt"]
