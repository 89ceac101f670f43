"""Errors of the `agenttracer` command and the local stack. Every message is one line that ends with the remedy.

DeployError
├── ProvisionError    a part of the stack is not available (Java, Kafka's jars, PostgreSQL's programs)
├── StartError        a process did not become ready
├── StopError         a process did not end
├── StateError        the state directory cannot be used, or lacks something
├── NotRunningError   this needs something that is not running
├── KeysError         API keys cannot be made, listed or revoked
├── NamesError        names cannot be allowed, listed or taken back, or a project closed
├── TopicError        a topic cannot get the requested settings
├── SchemaError       the store cannot be migrated
├── SettingsError     an option or an environment variable is unsound; nothing was started
├── ProjectError      the store does not know a project or run
└── ProofError        a proof over topic and store could not be made
"""


class DeployError(Exception):
    """Base of all errors of the command. The message says what to do."""


class ProvisionError(DeployError):
    """A part of the stack is not available here."""


class StartError(DeployError):
    """A process did not become ready."""


class StopError(DeployError):
    """A process did not end although it was killed."""


class StateError(DeployError):
    """The state directory cannot be used, or lacks something."""


class NotRunningError(DeployError):
    """This needs something that is not running."""


class KeysError(DeployError):
    """API keys cannot be made, listed or revoked."""


class NamesError(DeployError):
    """Names cannot be allowed, listed or taken back, or a project closed. No name stands in the message."""


class TopicError(DeployError):
    """A topic cannot get the requested settings."""


class SchemaError(DeployError):
    """The store cannot be migrated."""


class SettingsError(DeployError):
    """An option or an environment variable is unsound. The message names it and the rule, never the value."""


class ProjectError(DeployError):
    """The store does not know a project or run."""


class ProofError(DeployError):
    """A proof over topic and store could not be made."""
