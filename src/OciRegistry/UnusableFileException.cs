namespace OciRegistry;

/// <summary>A file of users, policies, keys, secrets or certificates cannot be used; each problem is a sentence, without secrets.</summary>
internal sealed class UnusableFileException(string path, IReadOnlyList<string> problems)
    : Exception(string.Join(" ", problems.Select(problem => $"'{path}': {problem}")))
{
    public IEnumerable<string> Problems => problems.Select(problem => $"'{path}': {problem}");

    /// <summary>All that is wrong with a file, each sentence with its remedy; empty when it can be opened.</summary>
    public static IEnumerable<string> ProblemsOf(Action open)
    {
        try
        {
            open();
            return [];
        }
        catch (UnusableFileException e)
        {
            return e.Problems;
        }
    }
}
