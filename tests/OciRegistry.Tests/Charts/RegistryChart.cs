using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace OciRegistry.Tests.Charts;

/// <summary>The files of <c>charts/registry</c>. No Helm is needed to read them: what it renders of them is kept.</summary>
internal static class RegistryChart
{
    private const string ValuesSuffix = "-values.yaml";

    public static string Folder { get; } = Path.GetFullPath(Path.Combine(SourceFolder(), "..", "..", "..", "charts", "registry"));

    public static string GoldenFolder => Path.Combine(Folder, "ci", "golden");

    public static JsonObject Values => Yaml.Document(Read("values.yaml"));

    /// <summary>What the files of values in <c>ci</c> are called.</summary>
    public static TheoryData<string> Cases => [.. NamesOf("ci", $"*{ValuesSuffix}").Select(name => name[..^ValuesSuffix.Length])];

    /// <summary>What the files of values in <c>ci/illegal</c> are called.</summary>
    public static TheoryData<string> IllegalCases => [.. NamesOf(Path.Combine("ci", "illegal"), "*.yaml").Select(file => Path.GetFileNameWithoutExtension(file)!)];

    public static string Read(params string[] path) => File.ReadAllText(Path.Combine([Folder, .. path]));

    public static JsonObject ValuesOf(string name) => Yaml.Document(Read("ci", name + ValuesSuffix));

    /// <summary>What Helm has made of a file of values.</summary>
    public static Release Rendered(string name) => new(
        [.. Yaml.Documents(Read("ci", "golden", $"{name}.yaml")).Select(document => document.AsObject())]);

    private static IEnumerable<string> NamesOf(string folder, string pattern) =>
        Directory.EnumerateFiles(Path.Combine(Folder, folder), pattern).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal);

    private static string SourceFolder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
