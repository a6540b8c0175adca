// `import … with { type: "text" }`: the bundler puts the file's text into the executable.
declare module "*.lua" {
  const text: string;
  export default text;
}
