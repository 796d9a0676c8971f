namespace OciRegistry.Auth;

/// <summary>A file of users, policies, keys or certificates cannot be used; each problem is a sentence, without secrets.</summary>
internal sealed class AuthFileException(string path, IReadOnlyList<string> problems)
    : Exception(string.Join(" ", problems.Select(problem => $"'{path}': {problem}")))
{
    public IEnumerable<string> Problems => problems.Select(problem => $"'{path}': {problem}");
}
