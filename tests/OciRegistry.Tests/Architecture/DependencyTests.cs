using System.Reflection;
using System.Text.RegularExpressions;

namespace OciRegistry.Tests.Architecture;

/// <summary>
/// The arrows between the library's folders, which are its namespaces. A request takes three hops and never goes back up:
/// endpoint (HTTP in, HTTP out), rules, bytes.
/// </summary>
public sealed partial class DependencyTests
{
    private const BindingFlags Own = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance
        | BindingFlags.Static | BindingFlags.DeclaredOnly;

    /// <summary>Whom each folder may know, besides itself and the root, which knows nobody. Nobody knows Operations.</summary>
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        [""] = [],
        ["Storage"] = [],
        ["Coordination"] = [],
        ["Auth"] = ["Storage"],
        ["Repositories"] = ["Storage", "Coordination"],
        ["Uploads"] = ["Repositories", "Storage", "Coordination"],
        ["PullThrough"] = ["Uploads", "Repositories", "Storage", "Coordination"],
        ["Endpoints"] = ["Auth", "PullThrough", "Uploads", "Repositories", "Storage"], // they do not lock
        ["Hosting"] = ["Endpoints", "Auth", "PullThrough", "Uploads", "Repositories", "Storage", "Coordination"],
        ["Operations"] = ["Hosting", "Endpoints", "Auth", "PullThrough", "Uploads", "Repositories", "Storage", "Coordination"],
    };

    private static readonly Type[] Types = typeof(Digest).Assembly.GetTypes();

    [Fact]
    public void Types_know_only_the_folders_that_theirs_may_know()
    {
        var wrong = Types.Where(type => FolderOf(type) is not null)
            .SelectMany(type => KnownTo(type).Where(known => FolderOf(known) is { } folder && !MayKnow(FolderOf(type)!, folder))
                .Select(known => $"{type} knows {known}"))
            .Distinct();

        wrong.ShouldBeEmpty();
    }

    [Fact]
    public void Source_files_use_only_the_namespaces_that_their_folder_may_know()
    {
        var library = Path.Combine(Checkout(), "src", "OciRegistry");
        var files = Directory.EnumerateFiles(library, "*.cs", SearchOption.AllDirectories).ToArray();
        files.Length.ShouldBeGreaterThan(40);

        // UseX stands beside the options of its backend, and is wiring.
        var wrong = files.Where(file => !WiringNamespace().IsMatch(File.ReadAllText(file)))
            .SelectMany(file => OurUsings().Matches(File.ReadAllText(file))
                .Where(use => !MayKnow(FolderOf(Path.GetRelativePath(library, file)), use.Groups[1].Value))
                .Select(use => $"{Path.GetRelativePath(library, file)}: {use}"));

        wrong.ShouldBeEmpty();
    }

    [Fact]
    public void Rules_and_stores_know_nothing_of_HTTP()
    {
        string[] folders = ["Storage", "Coordination", "Repositories", "Uploads", "PullThrough"];

        var wrong = Types.Where(type => folders.Contains(FolderOf(type)))
            .SelectMany(type => KnownTo(type)
                .Where(known => known.Namespace?.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal) == true)
                .Select(known => $"{type} knows {known}"));

        wrong.ShouldBeEmpty();
    }

    [Fact]
    public void Every_folder_has_its_arrows() =>
        Types.Select(FolderOf).OfType<string>().Distinct().ShouldBe(Arrows.Keys, ignoreOrder: true);

    private static bool MayKnow(string folder, string other) =>
        other == folder || other.Length == 0 || Arrows.GetValueOrDefault(folder, []).Contains(other);

    /// <summary>Null for a type that is not the library's, or extends a namespace of the framework: that is wiring.</summary>
    private static string? FolderOf(Type type) => type.Namespace?.Split('.') switch
    {
        ["OciRegistry"] when type.Assembly == typeof(Digest).Assembly => "",
        ["OciRegistry", var folder, ..] when type.Assembly == typeof(Digest).Assembly => folder,
        _ => null,
    };

    private static string FolderOf(string file) => Path.GetDirectoryName(file)!.Split('/')[0];

    /// <summary>What shows in a type, and in the variables of its methods.</summary>
    private static IEnumerable<Type> KnownTo(Type type) =>
        new[] { type.BaseType }.Concat(type.GetInterfaces())
            .Concat(type.GetFields(Own).Select(field => field.FieldType))
            .Concat(type.GetMethods(Own).Select(method => method.ReturnType))
            .Concat(type.GetMethods(Own).Concat<MethodBase>(type.GetConstructors(Own)).SelectMany(method =>
                method.GetParameters().Select(parameter => parameter.ParameterType)
                    .Concat(method.GetMethodBody()?.LocalVariables.Select(local => local.LocalType) ?? [])))
            .OfType<Type>()
            .SelectMany(Parts);

    private static IEnumerable<Type> Parts(Type type) =>
        type.HasElementType ? Parts(type.GetElementType()!)
        : type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type.GetGenericTypeDefinition())
        : [type];

    private static string Checkout()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Registry.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests run outside their checkout.");
        }

        return folder;
    }

    [GeneratedRegex(@"^using (?:static |\w+ = )?OciRegistry\.(\w+)", RegexOptions.Multiline)]
    private static partial Regex OurUsings();

    [GeneratedRegex("^namespace Microsoft", RegexOptions.Multiline)]
    private static partial Regex WiringNamespace();
}
