"""From the queue to the gateway: queue, sender, responses, retries, and the end of the process."""
