/** Asks once for a read key. It goes to the service in a header and is kept nowhere. */
import { useSignal } from "@preact/signals";
import { signIn } from "../state/session";

export function SignIn({ message }: { message: string | null }) {
  const said = useSignal(message);
  const busy = useSignal(false);
  return (
    <form
      class="sign-in card"
      onSubmit={(event) => {
        event.preventDefault();
        const key = new FormData(event.currentTarget).get("key");
        busy.value = true;
        void signIn(typeof key === "string" ? key.trim() : "").then((problem) => {
          busy.value = false;
          said.value = problem;
        });
      }}
    >
      <h1>Sign in</h1>
      <p class="note">
        Reading needs an API key with the scope <code>read</code>. It decides which project you see. This
        browser keeps a sign-in made from it, not the key.
      </p>
      <label for="key">Read key</label>
      <input
        id="key"
        name="key"
        type="password"
        autocomplete="off"
        spellcheck={false}
        placeholder="atk_…"
        required
      />
      {said.value && (
        <p class="problem" role="alert">
          {said.value}
        </p>
      )}
      <button type="submit" class="primary" disabled={busy.value}>
        {busy.value ? "Signing in…" : "Sign in"}
      </button>
      <p class="note">
        Make one: <code>agenttracer keys create --project NAME --scope read</code>
      </p>
    </form>
  );
}
