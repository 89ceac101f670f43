"""What the `agenttracer` command and the local stack can fail with. Every message is one line that ends with what to do.

DeployError
├── ProvisionError    a part the stack is made of is not to be had (Java, Kafka's jars, PostgreSQL's programs)
├── StartError        a process did not become ready
├── StopError         a process did not end
├── StateError        the state directory cannot be used, or lacks what was asked for
├── NotRunningError   something has to be up for this, and is not
├── KeysError         API keys cannot be made, listed or revoked
├── TopicError        a topic cannot be brought to what was asked for
├── SchemaError       the store cannot be migrated
├── SettingsError     an option or an environment variable is unsound; nothing was started
├── ProjectError      the store knows nothing of a project
└── ProofError        a proof over topic and store could not be made
"""


class DeployError(Exception):
    """Something about running the parts failed; the message says what to do."""


class ProvisionError(DeployError):
    """A part the stack is made of is not to be had here."""


class StartError(DeployError):
    """A process did not become ready."""


class StopError(DeployError):
    """A process did not end, although it was killed."""


class StateError(DeployError):
    """The state directory cannot be used, or lacks what was asked for."""


class NotRunningError(DeployError):
    """This needs something that is not running."""


class KeysError(DeployError):
    """API keys cannot be made, listed or revoked."""


class TopicError(DeployError):
    """A topic cannot be brought to what was asked for."""


class SchemaError(DeployError):
    """The store cannot be migrated."""


class SettingsError(DeployError):
    """An option or an environment variable is unsound. The message names it and the rule, never the value."""


class ProjectError(DeployError):
    """The store knows nothing of a project."""


class ProofError(DeployError):
    """A proof over topic and store could not be made."""
