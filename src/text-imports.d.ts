// `import … with { type: "text" }`: the bundler puts the file's text into the executable.
declare module "*.lua" {
  const text: string;
  export default text;
}

// The bundler parses YAML and puts the value into the executable.
declare module "*.yaml" {
  const value: unknown;
  export default value;
}
