namespace OciRegistry.Benchmarks.Peers;

internal sealed class UnexpectedAnswerException(string method, int status, int expected)
    : Exception($"{method} was answered {status}, not {expected}.")
{
    public int Status { get; } = status;
}
