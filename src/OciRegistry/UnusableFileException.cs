namespace OciRegistry;

/// <summary>A file of users, policies, keys, secrets or certificates cannot be used; each problem is a sentence, without secrets.</summary>
internal sealed class UnusableFileException(string path, IReadOnlyList<string> problems)
    : Exception(string.Join(" ", problems.Select(problem => $"'{path}': {problem}")))
{
    public IEnumerable<string> Problems => problems.Select(problem => $"'{path}': {problem}");
}
