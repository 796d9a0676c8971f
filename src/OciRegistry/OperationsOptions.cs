namespace OciRegistry;

/// <summary>What operators see and do beside the registry's own API.</summary>
public sealed class OperationsOptions
{
    /// <summary>
    /// Whether <c>/admin</c> is answered where nobody has to log in: then anybody on the machine itself is an operator, and so is
    /// anybody behind a reverse proxy on it that does not say for whom it asks. Where people log in, policies decide instead.
    /// </summary>
    /// <value>false</value>
    public bool Admin { get; set; }
}
