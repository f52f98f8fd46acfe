// Bundle the page into one ES module, as Airflow's plugin loader imports it. React and the router are the host's.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "include", "elt_factory", "ui", "static");
const hosts = {
  react: "React",
  "react/jsx-runtime": "ReactJSXRuntime",
  "react-router-dom": "ReactRouterDOM",
};

const fromHost = {
  name: "from-host",
  setup(builder) {
    builder.onResolve({ filter: /^react(\/jsx-runtime|-router-dom)?$/ }, ({ path }) => ({ path, namespace: "host" }));
    builder.onLoad({ filter: /.*/, namespace: "host" }, ({ path }) => ({
      contents: `module.exports = globalThis[${JSON.stringify(hosts[path])}];`,
    }));
  },
};

await build({
  entryPoints: [join(here, "src", "main.tsx")],
  outfile: join(out, "sources.js"),
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  jsx: "automatic",
  loader: { ".css": "text" },
  plugins: [fromHost],
});

// what the bundle was made of: tests compare it with the sources, without node
const digest = createHash("sha256");
const files = [
  ...readdirSync(join(here, "src"), { recursive: true }).filter((name) => /\.(tsx?|css)$/.test(name)).map((name) => join("src", name)),
  "build.mjs",
  "package-lock.json",
].map((name) => name.split("\\").join("/")).sort();
for (const name of files) {
  digest.update(`${name}\n`).update(readFileSync(join(here, name)));
}
writeFileSync(join(out, "sources.js.version"), `${digest.digest("hex").slice(0, 16)}\n`);
