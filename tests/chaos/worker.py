"""The product's command line with one mutation applied: ``python -m chaos.worker run --role …``."""

from chaos.mutations import apply_named_mutation

if __name__ == "__main__":
    from tidegauge.cli import main

    apply_named_mutation()
    main()
