using System.Text.Json;
using System.Text.Json.Serialization;

namespace OciRegistry.Auth;

/// <summary>
/// The file of <see cref="AuthOptions.PolicyFile"/>:
/// <code>
/// {
///   "groups": { "developers": ["user:alice", "user:bob"] },
///   "policies": [
///     { "name": "team a", "groups": ["developers"], "repositories": ["team-a/**"], "actions": ["pull", "push"] }
///   ]
/// }
/// </code>
/// </summary>
internal sealed record PolicyFile(
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Groups, IReadOnlyList<PolicyOptions>? Policies)
{
    /// <summary>The rules of a file.</summary>
    /// <exception cref="UnusableFileException">It has problems: all of them.</exception>
    public static IReadOnlyList<PolicyRule> Parse(string path, ReadOnlySpan<byte> content)
    {
        PolicyFile? file;
        try
        {
            file = JsonSerializer.Deserialize(content, PolicyFileJson.Default.PolicyFile);
        }
        catch (JsonException e)
        {
            throw new UnusableFileException(path, [$"{e.Message.TrimEnd('.')}. Correct it: the README has an example"]);
        }

        var policies = file?.Policies ?? [];
        var groups = file?.Groups ?? new Dictionary<string, IReadOnlyList<string>>();
        var problems = policies
            .SelectMany((policy, i) => policy is null ? ["One is null. Leave it out."] : policy.Problems().Select(problem => $"{NameOf(policy, i)}: {problem}"))
            .Concat(groups.SelectMany(group => GroupProblems(group.Key, group.Value)))
            .ToList();
        return problems.Count > 0
            ? throw new UnusableFileException(path, problems)
            : [.. policies.Select((policy, i) => new PolicyRule($"{NameOf(policy, i)} of {path}", policy, groups))];
    }

    private static string NameOf(PolicyOptions policy, int index) =>
        string.IsNullOrWhiteSpace(policy.Name) ? $"policy {index + 1}" : $"policy {index + 1} '{policy.Name}'";

    // What a group may have as a member is what a policy may have as a subject.
    private static IEnumerable<string> GroupProblems(string name, IReadOnlyList<string> members) =>
        name.Contains(':', StringComparison.Ordinal)
            ? [$"Group '{name}' has a ':', which is for groups of issuers. Call it otherwise."]
            : new PolicyOptions { Subjects = [.. members ?? []], Groups = ["-"], Repositories = ["**"], Actions = ["pull"] }.Problems()
                .Select(problem => $"Group '{name}': {problem}");
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    AllowDuplicateProperties = false,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(PolicyFile))]
internal sealed partial class PolicyFileJson : JsonSerializerContext;
